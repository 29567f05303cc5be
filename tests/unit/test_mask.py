"""Known secrets are masked in every form, wherever a stream is cut, in bounded memory."""

import base64
import html
import json
import os
import threading
from itertools import pairwise
from pathlib import Path
from string import ascii_letters, digits
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.handoff import Outcome
from coordinator.engine.masking import masked
from coordinator.secrecy import Known, Mask, MaskedStream, Secret
from coordinator.secrecy.mask import FRAGMENT, SHORTEST
from coordinator.secrecy.sources import NAMES, in_address, in_environment, in_files, in_words

SECRETS = (
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    'pass "word" with \\ and ü & <spaces>',
    "plain-token-0123456789",
    "first-line-of-a-key\nsecond-line-of-a-key\n",
)
OTHERS = dict(zip(ascii_letters + digits, ascii_letters[1:] + "a" + digits[1:] + "0", strict=True))
FORMS = {
    "plain": lambda s: s,
    "quoted": quote,
    "quoted whole": lambda s: quote(s, safe=""),
    "quoted in lower case": lambda s: quote(s, safe="").lower() if s.islower() else quote(s),
    "of a form": quote_plus,
    "of a query": lambda s: urlencode({"key": s}),
    "JSON": json.dumps,
    "JSON in Unicode": lambda s: json.dumps(s, ensure_ascii=False),
    "JSON in JSON": lambda s: json.dumps({"line": json.dumps({"token": s})}),
    "JSON with \\/": lambda s: json.dumps(s).replace("/", r"\/"),
    "HTML": html.escape,
    "Python": repr,
    "Python's bytes": lambda s: ascii(s),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 after one byte": lambda s: base64.b64encode(b"u" + s.encode()).decode(),
    "base64 after two": lambda s: base64.b64encode(b"u:" + s.encode() + b"#").decode(),
    "base64 amid others": lambda s: base64.b64encode(b"user:" + s.encode() + b"@host").decode(),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(b"x" + s.encode() + b"yz").decode(),
    "base64 in a query": lambda s: quote(base64.b64encode(s.encode()).decode(), safe=""),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", SECRETS)
def test_every_form_is_masked(secret: str, form: str) -> None:
    written = FORMS[form](secret)
    text = f"before {written} after"
    shown = Mask([secret]).text(text)
    assert shown.startswith("before ") and shown.endswith(" after")
    assert len(shown.encode()) == len(text.encode())
    told = [at for at in places_of(secret, form) if shown[len("before ") + at] != "*"]
    assert len(told) <= 2  # base64's first and last character may hold some bits of it


def places_of(secret: str, form: str) -> list[int]:
    """Where that form of it depends on the secret: there another one is written differently."""
    other = "".join(OTHERS.get(character, character) for character in secret)
    pair = zip(FORMS[form](secret), FORMS[form](other), strict=True)
    return [at for at, (one, two) in enumerate(pair) if one != two]


def test_each_line_of_a_long_one_is_masked_alone() -> None:
    assert "line-of" not in Mask([SECRETS[3]]).text("| second-line-of-a-key |")


def test_short_words_and_other_text_stay() -> None:
    mask = Mask(["no", "", "true"])
    assert mask.text("no, that is true") == "no, that is true"
    assert Mask(SECRETS).data(bytes(range(256))) == bytes(range(256))
    assert Mask().text("\udc80") == "\udc80"


# Streams.

ALPHABET = "ab"
TEXTS = st.text(ALPHABET, max_size=60)
WORDS = st.lists(st.text(ALPHABET, min_size=SHORTEST, max_size=12), max_size=4)
CUTS = st.lists(st.integers(0, 60), max_size=8)


@given(TEXTS, WORDS, CUTS)
def test_a_stream_is_masked_alike_however_it_is_cut(
    text: str, words: list[str], cuts: list[int]
) -> None:
    mask, data = Mask(words), text.encode()
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    pieces = [data[a:b] for a, b in pairwise(places)] or [data]
    shown = b"".join(mask.pieces(pieces))
    assert shown == b"".join(mask.pieces([data]))
    assert len(shown) == len(data)
    whole = mask.data(data)
    kept = len(shown.rstrip(b"*"))
    assert shown[:kept] == whole[:kept]  # but for half a secret at its end


@given(st.text(ALPHABET, max_size=20), st.text(ALPHABET, max_size=20), CUTS)
def test_no_secret_survives_between_two_pieces(before: str, after: str, cuts: list[int]) -> None:
    secret = "abbbabaabbaaab"
    data = f"{before}{secret}{after}".encode()
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    shown = b"".join(Mask([secret]).pieces(data[a:b] for a, b in pairwise(places)))
    assert secret.encode() not in shown


@pytest.mark.parametrize("kept", range(FRAGMENT, len(SECRETS[2])))
def test_the_halves_of_a_secret_at_torn_ends_are_masked(kept: int) -> None:
    mask, secret = Mask(SECRETS), SECRETS[2].encode()
    head = b"".join(mask.pieces([b"the head ", secret[:kept]]))
    tail = b"".join(mask.pieces([secret[-kept:-1], secret[-1:], b" the tail"], torn=True))
    assert head == b"the head " + b"*" * kept
    assert tail == b"*" * kept + b" the tail"


def test_a_line_is_shown_at_once_if_nothing_secret_may_begin_in_it() -> None:
    stream = MaskedStream(Mask(SECRETS))
    assert stream.feed(b"line 1\n") == b"line 1\n"
    assert stream.feed(b"plain-token") == b""
    assert stream.feed(b"-of another kind\n") == b"plain-token-of another kind\n"


def test_what_is_held_back_is_bounded() -> None:
    mask = Mask(SECRETS)
    stream, fed, shown = MaskedStream(mask, torn=True), 0, 0
    for _ in range(1000):
        piece = SECRETS[2][:-1].encode()  # always almost the secret
        fed, shown = fed + len(piece), shown + len(stream.feed(piece))
        assert fed - shown <= mask.longest + len(piece)
    assert shown + len(stream.close()) == fed


# What is known.


def test_what_is_learned_is_masked_from_then_on() -> None:
    known = Known()
    threads = [
        threading.Thread(target=known.learn, args=([Secret(f"secret-number-{n}")],))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = " ".join(f"secret-number-{n}" for n in range(20))
    assert set(known.mask.text(text)) == {"*", " "}
    assert known.mask_with(["another-one"]).text("another-one") == "*" * 11
    assert known.mask.text("another-one") == "another-one"


def test_an_environment_tells_its_secrets_by_name(tmp_path: Path) -> None:
    environment = {
        "NOMAD_TOKEN": "of-nomad",
        "AWS_ACCESS_KEY_ID": "of-aws-1",
        "AWS_SECRET_ACCESS_KEY": "of-aws-2",
        "AWS_SESSION_TOKEN": "of-aws-3",
        "HF_TOKEN": "of-hf",
        "MY_API_KEY": "of-an-api",
        "DB_PASSWORD": "of-a-db",
        "WHATEVER": "of-the-file",
        NAMES: "WHATEVER,OTHER",
        "HTTPS_PROXY": "http://user:of-the-proxy@proxy.example:3128",
        "no_proxy": "localhost",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token",
        "SECRETS_DIR": str(tmp_path),
        "TOKENIZERS_PARALLELISM": "false",
        "PWD": "/home/somebody",
    }
    assert in_environment(environment) == {
        "of-nomad", "of-aws-1", "of-aws-2", "of-aws-3", "of-hf", "of-an-api", "of-a-db",
        "of-the-file", "of-the-proxy",
    }  # fmt: skip


def test_addresses_tell_their_passwords_and_what_signs_them() -> None:
    assert in_address("https://user:p%40ss-word@host/x?page=2") == {"p%40ss-word", "p@ss-word"}
    signed = "X-Amz-Date=20260101&X-Amz-Signature=0a1b2c&X-Amz-Credential=AK%2Fday"
    found = in_address(f"https://host/x?{signed}")
    assert {"0a1b2c", "AK%2Fday", "AK/day", signed} <= found and "20260101" not in found
    assert (
        in_address("https://host/x?page=2") == in_address("/a/path") == in_address("a b") == set()
    )
    assert in_address("https://[broken/?token=x") == set()
    assert in_words(["--proxy=http://u:of-argv@host", "word"]) == {"of-argv"}


def test_files_tell_their_secrets(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = of-file-1\naws_secret_access_key = of%file-2\n"
    )
    (tmp_path / ".aws" / "config").write_text("[profile x]\naws_session_token = of-file-3\n")
    (tmp_path / ".netrc").write_text("machine host login me password of-netrc\n")
    os.chmod(tmp_path / ".netrc", 0o600)
    found = in_files({"HOME": str(tmp_path)})
    assert found == {"of-file-1", "of%file-2", "of-file-3", "of-netrc"}
    (tmp_path / ".aws" / "credentials").write_bytes(b"\xff no ini")
    (tmp_path / ".netrc").write_text("nonsense\n")
    assert in_files({"HOME": str(tmp_path)}) == {"of-file-3"}
    assert in_files({}) == set() or not Path("/.netrc").exists()


def test_words_are_masked_however_deep_in_an_outcomes_facts_they_lie() -> None:
    secret = SECRETS[0]
    outcome = Outcome(
        batch="b", dispatch="d", step="s", item="i", attempt=1, status="succeeded",
        started_at=1.0, ended_at=2.0, message=secret,
        facts={"scores": {"bleu": 30.5}, "signs": {"flags": [f"a {secret}", 1], secret: None}},
    )  # fmt: skip
    found = masked(outcome, Mask([secret]))
    assert found.facts["scores"] == {"bleu": 30.5}
    assert secret not in found.model_dump_json()
    assert found.facts["signs"]["flags"][1] == 1
