"""What cannot be used is refused before anything is written, in words, with exit code 2."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.batches import Workplace, ended

pytestmark = pytest.mark.needs_data


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace.made(tmp_path_factory.mktemp("bad") / "work", ["deu", "fra"], 5)


def item(item_id: str, reference: str = "text/fra.txt") -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": item_id,
        "geometry": None,
        "properties": {
            "datetime": "2024-01-01T00:00:00Z",
            "mt:source_language": "deu",
            "mt:target_language": "fra",
            "mt:split": "dev",
            "mt:sentences": 5,
        },
        "assets": {"source": {"href": "text/deu.txt"}, "reference": {"href": reference}},
        "links": [],
    }


def ndjson(*items: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(one)}\n" for one in items)


@dataclass(frozen=True)
class Case:
    """Flags instead of or beside the good ones, and what the message must say."""

    name: str
    flags: dict[str, object]
    says: tuple[str, ...]
    file: tuple[str, str] | None = None  # name, content


MISSPELT = "name: misspelt\n\nstepz: []\n"
CASES = [
    Case(
        "empty list",
        {"item_list": "empty.txt"},
        ("empty.txt lists no item", "it is empty", "one item id a line"),
        ("empty.txt", "# nothing yet\n\n"),
    ),
    Case(
        "unknown ids",
        {"item_list": "unknown.txt"},
        ("unknown.txt:1", "no item nobody", "unknown.txt:2", "did you mean text-dev-deu-fra?"),
        ("unknown.txt", "nobody\ntext-dev-deu-frx\n"),
    ),
    Case(
        "an id that climbs",
        {"item_list": "climbs.txt"},
        ("climbs.txt:1", "../../etc/passwd", "not one safe path segment"),
        ("climbs.txt", "../../etc/passwd\n"),
    ),
    Case(
        "an item id that climbs",
        {"catalog": "climbs.ndjson"},
        ("../../etc/passwd", "climbs.ndjson", "not one safe path segment"),
        ("climbs.ndjson", ndjson(item("../../etc/passwd"))),
    ),
    Case(
        "an id with a newline",
        {"catalog": "newline.ndjson"},
        (r"new\nline", "not one safe path segment"),
        ("newline.ndjson", ndjson(item("new\nline"))),
    ),
    Case(
        "ids with a NUL, a change of direction and an escape sequence",
        {"catalog": "odd.ndjson"},
        (r"nul\x00l", r"bidi\u202egpj", r"red\x1b[31m", "cannot be used"),
        ("odd.ndjson", ndjson(item("nul\0l"), item("bidi\u202egpj"), item("red\x1b[31m"))),
    ),
    Case(
        "no JSON",
        {"catalog": "broken.json"},
        ("broken.json", "not JSON", "line 2", "STAC"),
        ("broken.json", '{"type": "FeatureCollection",\n oops'),
    ),
    Case("no catalog", {"catalog": "none.json"}, ("none.json", "no such file")),
    Case(
        "an unaligned reference",
        {"catalog": "unaligned.ndjson"},
        ("unaligned", "assets.reference", "5 lines", "2 lines"),
        ("unaligned.ndjson", ndjson(item("unaligned", reference="short.txt"))),
    ),
    Case("no model", {"model": "no-model"}, ("no-model", "no such folder", "handler.py")),
    Case(
        "thresholds",
        {"stop_threshold": 4, "resume_threshold": 4},
        ("--resume_threshold 4", "below --stop_threshold 4", "resume_threshold 3"),
    ),
    Case(
        "an output root below a file",
        {"output_root": "pipeline.yml/out"},
        ("--output_root pipeline.yml/out", "cannot be written", "Not a directory"),
    ),
    Case(
        "a misspelt pipeline key",
        {"pipeline": "misspelt.yml"},
        ("misspelt.yml:3", "unknown key 'stepz'", "did you mean steps?"),
        ("misspelt.yml", MISSPELT),
    ),
    Case(
        "a misspelt flag", {"stop_treshold": 4}, ("--stop_treshold", "--stop_threshold", "--help")
    ),
    Case(
        "a batch name",
        {"batch_name": "../evil name"},
        ("--batch_name", "../evil name", "are allowed", "--batch_name evil-name"),
    ),
    Case("no number", {"slots": "many"}, ("--slots", "many", "--help")),
    Case("a cluster", {"cluster": "moon"}, ("--cluster", "moon", "local")),
    Case(
        "all at once",
        {
            "batch_name": "a b",
            "pipeline": "misspelt.yml",
            "catalog": "broken.json",
            "model": "no-model",
            "output_root": "pipeline.yml/out",
            "resume_threshold": 9,
            "stop_threshold": 9,
        },
        ("a b", "'stepz'", "broken.json", "no-model", "pipeline.yml/out", "--resume_threshold 9"),
        ("misspelt.yml", MISSPELT),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused_in_words_and_nothing_written(place: Workplace, case: Case) -> None:
    flags = flags_of(place, case)
    before = tree(place.folder)
    plain, as_json = (place.start("submit", *flags, *more) for more in ((), ("--json",)))
    plain, as_json = ended(plain), ended(as_json)
    assert (plain.returncode, plain.stdout) == (2, ""), plain.stderr
    for text in (*case.says, "error: ", "  try "):
        assert text in plain.stderr
    assert "Traceback" not in plain.stderr
    assert plain.stderr.replace("\n", "").isprintable()
    assert_one_json_error(as_json.stdout, case)
    assert (as_json.returncode, as_json.stderr) == (2, "")
    assert tree(place.folder) == before


def flags_of(place: Workplace, case: Case) -> list[str]:
    (place.folder / "short.txt").write_text("a\nb\n")
    (place.folder / "broken.json").write_text('{"type": "FeatureCollection",\n oops')
    if case.file:
        (place.folder / case.file[0]).write_text(case.file[1])
    good = {
        "batch_name": "bad",
        "pipeline": "pipeline.yml",
        "model": "model",
        "catalog": "items/collection.json",
    }
    return [
        text for name, value in (good | case.flags).items() for text in (f"--{name}", str(value))
    ]


def tree(folder: Path) -> dict[str, int]:
    """Every path below the folder, and when it was changed."""
    paths = folder.rglob("*")
    return {str(path): path.stat().st_mtime_ns if path.is_file() else 0 for path in paths}


def assert_one_json_error(stdout: str, case: Case) -> None:
    assert stdout.count("\n") == 1
    document = json.loads(stdout)
    assert set(document) == {"schema", "error"}
    error = document["error"]
    assert error["exit_code"] == 2
    assert error["kind"] and error["message"] and error["hint"]
    # A program gets texts as they are: only what a person sees is escaped.
    assert case.says[0].split("\\")[0] in json.dumps(error, ensure_ascii=False)


def test_debug_shows_the_traceback(place: Workplace) -> None:
    flags = flags_of(place, Case("", {"model": "no-model"}, ()))
    done = place.run("submit", *flags, "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr and "no-model cannot be used" in done.stderr


OTHER_VERBS: list[tuple[list[str], tuple[str, ...]]] = [
    (["status", "nobody"], ("no batch nobody is known here", "coordinator ls")),
    (["report", "nobody"], ("local-logs",)),
    (["purge", "nobody"], ("no batch nobody is known here",)),
    (["resubmit", "nobody"], ("no batch nobody is known here",)),
    (["rm", "nobody"], ("no batch nobody is known here",)),
    (["submit", "--batch_name", "nobody", "--resume"], ("no batch nobody is known here",)),
    (["submit", "--resume"], ("--batch_name",)),
    (["rm", "../state"], ("../state",)),
    (["items", "count", "none.json"], ("none.json", "no such file")),
    (["items", "from-text", "none", "--split", "dev", "--out", "o"], ("none",)),
    (["subnit"], ("subnit", "submit")),
]


@pytest.mark.parametrize(("arguments", "says"), OTHER_VERBS, ids=lambda value: " ".join(value))
def test_other_verbs_refuse_in_words(
    place: Workplace, arguments: list[str], says: tuple[str, ...]
) -> None:
    before = tree(place.folder)
    done = place.run(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert all(text in done.stderr for text in (*says, "error: ", "  try ")), done.stderr
    assert "Traceback" not in done.stderr
    assert tree(place.folder) == before
