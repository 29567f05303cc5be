"""Secrets planted in every place where one may stand, and a model that tells all it can find."""

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

# Says what it finds in its environment, in the user's files and in its own handoff, in all forms in
# which programs say such things; what it found, it also leaves where no grep looks.
HANDLER = '''
"""For tests: tells everything."""

import base64
import html
import json
import os
import resource
import sys
import time
from pathlib import Path
from urllib.parse import quote


class Handler:
    def load(self, model_dir, device):
        self.witness = Path((model_dir / "witness").read_text())

    def translate(self, sentences, source_language, target_language):
        found = self.found()
        self.witness.write_text("\\n".join(found))
        if target_language == "crash":
            os.environb[b"IN_MEMORY"] = os.environb[b"AWS_SECRET_ACCESS_KEY"]
            os.abort()
        if target_language == "raise":
            raise RuntimeError("cannot log in with " + " and ".join(found))
        for stream in (sys.stdout, sys.stderr):
            for text in found:
                self.tell(stream, text)
        return sentences

    def found(self):
        home = Path.home()
        files = (home / ".netrc", home / ".aws/credentials")
        texts = [f"{name}={value}" for name, value in sorted(os.environ.items())]
        texts += [file.read_text() for file in files]
        texts.append(f"core files: {resource.getrlimit(resource.RLIMIT_CORE)[0]}")
        worker = Path(f"/proc/{os.getppid()}/cmdline").read_text()
        root, handoff = worker.rstrip("\\0").split("\\0")[-2:]
        return [*texts, Path(root.removeprefix("file://"), handoff).read_text()]

    def tell(self, stream, text):
        for form in (text, json.dumps({"said": json.dumps(text)}), quote(text), html.escape(text)):
            print("told", form, file=stream, flush=True)
        print("told", base64.b64encode(b"user:" + text.encode()).decode(), file=stream)
        middle = text.find("canary") + 8
        stream.write("told " + text[:middle])
        stream.flush()
        time.sleep(0.01)
        stream.write(text[middle:] + "\\n")
'''

PIPELINE = """
name: tell-all
properties: ["mt:source_language", "mt:target_language"]
steps:
  - name: translate
    job: inference
    inputs: {source: asset/source}
    outputs: [translations.jsonl]
    pack: {size: 1}
"""

TELLS = ("print", "raise", "crash")


@dataclass(frozen=True)
class Canaries:
    """A folder in which a user works, with secrets in it, and what they are.

    Attributes:
        planted: place -> the secret that was put there.
        witness: what the model found.
    """

    folder: Path
    home: Path
    url: str
    planted: dict[str, str]
    witness: Path

    @property
    def sources(self) -> tuple[Path, ...]:
        """Where the user put the secrets; there they stay."""
        return self.home, self.folder / "settings.yml", self.folder / "secrets.env"

    def traces(self) -> dict[str, list[bytes]]:
        """Place -> what no text can hold that tells its secret, plain or in base64."""
        return {place: _traces(secret) for place, secret in self.planted.items()}

    @property
    def catalog(self) -> str:
        return self.address("items.ndjson", "a password in a settings file")

    def address(self, path: str, place: str) -> str:
        """Of a file on the user's server, with the password of that place in it."""
        password = quote(self.planted[place], safe="")
        return f"{self.url.replace('://', f'://reader:{password}@')}/{path}"

    def witnessed(self) -> set[str]:
        """The places whose secret the model had in hand."""
        said = self.witness.read_text()
        forms = {place: (it, quote(it, safe="")) for place, it in self.planted.items()}
        return {place for place in forms if any(form in said for form in forms[place])}


def plant(folder: Path, url: str, served: Path, monkeypatch: pytest.MonkeyPatch) -> Canaries:
    """Secrets in all places; `url` serves the folder `served`."""
    planted = {place: _secret(place) for place in PLACES}
    canaries = Canaries(folder, folder.parent / "home", url, planted, folder.parent / "witness")
    _plant_in_files(canaries)
    _plant_in_environment(canaries, monkeypatch)
    _serve(canaries, served)
    return canaries


PLACES = (
    "a variable of secrets.env",
    "a password in a settings file",
    "NOMAD_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "a token in the environment",
    "the AWS credentials file",
    "a proxy's password",
    ".netrc",
    "the user info of a URL",
    "the signature of an address",
    "the token of a signed address",
    "an argument of the command",
)


def _secret(place: str) -> str:
    """One that has to be written otherwise in URLs, and is told from all others."""
    return f"canary/{PLACES.index(place):02}+{os.urandom(9).hex()}=="


def _plant_in_files(canaries: Canaries) -> None:
    planted, folder, home = canaries.planted, canaries.folder, canaries.home
    (home / ".aws").mkdir(parents=True)
    netrc = f"machine elsewhere.example login me password {planted['.netrc']}\n"
    _private(home / ".netrc", netrc)
    key = planted["the AWS credentials file"]
    of_file = f"[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = {key}\n"
    _private(home / ".aws" / "credentials", of_file)
    (folder / "tmp").mkdir(parents=True)
    _private(folder / "secrets.env", f"SERVICE_LOGIN={planted['a variable of secrets.env']}\n")
    settings = f"catalog: {canaries.catalog}\nallow_networks: [127.0.0.0/8]\n"
    (folder / "settings.yml").write_text(settings)
    (folder / "pipeline.yml").write_text(PIPELINE)
    (folder / "model").mkdir()
    (folder / "model" / "handler.py").write_text(HANDLER)
    (folder / "model" / "witness").write_text(str(canaries.witness))


def _plant_in_environment(canaries: Canaries, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = canaries.planted
    for name in ("NOMAD_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, planted[name])
    monkeypatch.setenv("HUB_TOKEN", planted["a token in the environment"])
    proxy = quote(planted["a proxy's password"], safe="")
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{proxy}@127.0.0.1:9")
    monkeypatch.setenv("HOME", str(canaries.home))
    monkeypatch.setenv("TMPDIR", str(canaries.folder / "tmp"))
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "NETRC", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)


def _serve(canaries: Canaries, served: Path) -> None:
    planted = canaries.planted
    signature = quote(planted["the signature of an address"], safe="")
    token = quote(planted["the token of a signed address"], safe="")
    served.mkdir()
    (served / "text.txt").write_text("one\ntwo\n")
    query = f"X-Amz-Date=20260101T000000Z&X-Amz-Security-Token={token}&X-Amz-Signature={signature}"
    href = canaries.address(f"text.txt?{query}", "the user info of a URL")
    items = [
        {
            "id": tell,
            "properties": {"mt:source_language": "any", "mt:target_language": tell},
            "assets": {"source": {"href": href}},
        }
        for tell in TELLS
    ]
    (served / "items.ndjson").write_text("".join(f"{json.dumps(item)}\n" for item in items))


def _traces(secret: str) -> list[bytes]:
    """The part of it that is written alike in URLs, JSON and HTML; the same amid base64."""
    core = secret[len("canary/00+") : -len("==")].encode()
    return [core] + [base64.b64encode(b"?" * n + core)[4:-4] for n in range(3)]


def _private(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
