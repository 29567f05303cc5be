"""Handlers as backends: one item's sentences at a time, or batches of any items' sentences."""

import traceback
from pathlib import Path

import pytest

from coordinator.domain.job_options import InferenceOptions
from coordinator.errors import BadInput, ModelError
from coordinator.inference.backend import Backend, Row
from coordinator.inference.load import load_backend
from tests.model_folders import write_handler

LOAD = "def load(self, model_dir, device): ...\n"
BATCH = "def translate_batch(self, sentences, sources, targets):\n    "
COUNT = "def count_tokens(self, sentences):\n    "
PLAIN = "return sentences"


def backend(folder: Path, *methods: str) -> Backend:
    return load_backend(write_handler(folder, LOAD + "\n".join(methods)), InferenceOptions(), "cpu")


def test_a_batch_mixes_directions(tmp_path: Path) -> None:
    joined = "return [' '.join(three) for three in zip(sources, targets, sentences)]"
    model = backend(tmp_path, BATCH + joined)
    rows = [*model.encode(["one", "two"], "eng", "fra"), *model.encode(["drei"], "deu", "spa")]
    assert model.decode(model.translate(rows)) == ["eng fra one", "eng fra two", "deu spa drei"]
    assert (model.mixes_directions, model.whole_items, model.device) == (True, False, "cpu")


def test_a_handler_may_keep_directions_apart(tmp_path: Path) -> None:
    model = backend(tmp_path, "mixes_directions = False", BATCH + PLAIN)
    assert not model.mixes_directions


def test_the_old_interface_gets_whole_items(tmp_path: Path) -> None:
    told = "def translate(self, sentences, source, target): return [source + target] * 3"
    model = backend(tmp_path, told)
    rows = model.encode(["", "two", "two"], "eng", "fra")
    assert model.decode(model.translate(rows)) == ["engfra"] * 3
    assert (model.mixes_directions, model.whole_items) == (False, True)
    assert model.translate([]) == []


def test_with_both_interfaces_batches_are_used(tmp_path: Path) -> None:
    model = backend(tmp_path, "def translate(self, *_): 1 / 0", BATCH + PLAIN)
    assert model.decode(model.translate(model.encode(["x"], "eng", "fra"))) == ["x"]


def test_rows_are_as_long_as_the_handler_says(tmp_path: Path) -> None:
    model = backend(tmp_path, BATCH + PLAIN, COUNT + "return [len(s.split()) for s in sentences]")
    assert [row.tokens for row in model.encode(["one", "two words"], "eng", "fra")] == [1, 2]


def test_rows_are_guessed_where_it_says_nothing(tmp_path: Path) -> None:
    short, long = backend(tmp_path, BATCH + PLAIN).encode(["a", "b" * 400], "eng", "fra")
    assert 1 <= short.tokens < 10 and 50 < long.tokens < 200


def test_rows_are_plain_data(tmp_path: Path) -> None:
    """Another process's are as good."""
    import orjson

    model = backend(tmp_path, BATCH + PLAIN)
    [row] = model.encode(["é\u2028"], "eng", "fra")
    sent = orjson.loads(orjson.dumps(row.data))
    [output] = model.translate([Row(row.tokens, sent)])
    assert orjson.loads(orjson.dumps(output.data)) == "é\u2028"


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        ("return [1]", "expected 2 token counts, got 1"),
        ("return [1, 0]", "token count 2 is not between 1 and 1,000,000"),
        ("return [1, -5]", "is not between"),
        ("return [1, 10**400]", "is not between"),
        ("return [1, 2.0]", "token count 2 is a value of type float, not int"),
        ("return [True, 2]", "token count 1 is a value of type bool, not int"),
        ("return {1: 2}", "count_tokens returned a value of type dict, not a list"),
    ],
)
def test_counts_are_checked(tmp_path: Path, returned: str, why: str) -> None:
    model = backend(tmp_path, BATCH + PLAIN, COUNT + returned)
    with pytest.raises(ModelError) as caught:
        model.encode(["one", "two"], "eng", "fra")
    assert why in str(caught.value) and "handler.py" in str(caught.value)


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        ("return sentences[:1]", "expected 2 translations, got 1"),
        ("return [*sentences[:1], b'x']", "translation 2 is a value of type bytes, not str"),
        ("return ['x', chr(0xD800)]", "translation 2 holds half a character"),
        ("return ['x', 'x' * 1_000_001]", "translation 2 is longer than 1,000,000 characters"),
        ("return None", "translate_batch returned a value of type NoneType, not a list"),
        ("sources.clear(); return sources", "expected 2 translations, got 0"),
    ],
)
def test_translations_are_checked(tmp_path: Path, returned: str, why: str) -> None:
    model = backend(tmp_path, BATCH + returned)
    rows = model.encode(["one", "two"], "eng", "fra")
    with pytest.raises(ModelError) as caught:
        model.translate(rows)
    assert why in str(caught.value)
    assert [row.data["source"] for row in rows] == ["eng", "eng"]


@pytest.mark.parametrize(
    ("method", "translating", "counting"),
    [
        ("translate_batch", "raise ValueError(sentences[0])", "return [1]"),
        ("count_tokens", PLAIN, "raise ValueError(sentences[0])"),
    ],
)
def test_a_traceback_begins_in_the_users_file(
    tmp_path: Path, method: str, translating: str, counting: str
) -> None:
    model = backend(tmp_path, BATCH + translating, COUNT + counting)
    with pytest.raises(ModelError, match=f"failed in {method}: ValueError: one") as caught:
        model.translate(model.encode(["one"], "eng", "fra"))
    shown = "".join(traceback.format_exception(caught.value.__cause__))
    assert f"in {method}" in shown and "coordinator/inference" not in shown


def test_an_error_that_cannot_say_what_it_is_is_an_error_all_the_same(tmp_path: Path) -> None:
    raising = "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})"
    model = backend(tmp_path, BATCH + raising)
    with pytest.raises(ModelError, match="Odd: .it cannot say what."):
        model.translate(model.encode(["one"], "eng", "fra"))


def test_a_batch_may_name_bad_input(tmp_path: Path) -> None:
    raising = "from coordinator.errors import BadInput; raise BadInput('no such language')"
    model = backend(tmp_path, BATCH + raising)
    with pytest.raises(BadInput, match="no such language"):
        model.translate(model.encode(["one"], "eng", "fra"))


def test_memory_is_told_apart(tmp_path: Path) -> None:
    model = backend(tmp_path, BATCH + "raise MemoryError('all of it')")
    with pytest.raises(MemoryError, match="all of it"):
        model.translate(model.encode(["one"], "eng", "fra"))
