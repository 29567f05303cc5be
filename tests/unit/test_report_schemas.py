"""What programs are told of reports is so: the schemas, the table of fields, and `open_batch`."""

import contextlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import coordinator
from coordinator import open_batch
from coordinator.bootstrap import make_clock
from coordinator.cli import main
from coordinator.commands.reporting import report
from coordinator.domain.states import FailureKind
from coordinator.domain.verdicts import Ending
from coordinator.errors import BadInput, BatchMissing, UsageError
from coordinator.reports.export.schema import items_schema
from coordinator.reports.rows import ATTEMPT, FIELDS, Field
from coordinator.settings import Settings
from tests.doc_blocks import blocks
from tests.log_trees import LogBuilder, outcome
from tests.support import REPOSITORY

DOCUMENT = REPOSITORY / "docs/reports-for-programs.md"
SCHEMAS = REPOSITORY / "docs/schemas"
SUMMARY = json.loads((SCHEMAS / "summary.schema.json").read_text())
ITEMS = json.loads((SCHEMAS / "items.schema.json").read_text())


def good(logs: LogBuilder) -> None:
    logs.submit("a", "b")
    for item in "ab":
        logs.succeed("translate", item, tokens=5, seconds=1.5, languages=["eng", "fra"])
        logs.succeed("score", item, scores={"bleu": 1.5}, suspicious={"flags": ["empty"]})


def bad(logs: LogBuilder) -> None:
    logs.submit("a", "b", "c", skipped=[{"id": "d", "reason": "no text"}])
    logs.fail("translate", "a", FailureKind.TIMEOUT, "slow")
    logs.crash("translate", "b", "MemoryError\n", 137)
    logs.dispatch("translate", "c", ending=Ending(gone=True))


def amid(logs: LogBuilder) -> None:
    logs.submit("a", "b", "c", "never")
    logs.succeed("translate", "a")
    logs.dispatch("translate", "b")
    logs.dispatch("translate", "c", outcomes={"c": outcome(no_data=True)}, ending=Ending())


def limited(logs: LogBuilder) -> None:
    logs.submit("a", limited="limited: the first item")
    logs.through("a", scores={"bleu": 3})


def damaged(logs: LogBuilder) -> None:
    logs.submit("a", "b")
    place = logs.succeed("translate", "a")
    wild = json.loads(place.outcome("a").read_text())
    place.outcome("a").write_text(json.dumps(wild | {"ended_at": float("inf")}))
    logs.fail("score", "a", FailureKind.MODEL_ERROR, "\ufffe\u202e")
    (logs.crash("translate", "b", "x").record).write_text("{")


def empty(logs: LogBuilder) -> None:
    logs.submit()


BATCHES = {each.__name__: each for each in (good, bad, amid, limited, damaged, empty)}


@pytest.fixture(params=BATCHES)
def logs(request: pytest.FixtureRequest, tmp_path: Path) -> LogBuilder:
    made = LogBuilder(tmp_path / "logs", "mine")
    BATCHES[request.param](made)
    return made


def settings_of(logs: LogBuilder) -> Settings:
    root = logs.root
    return Settings(log_dir=root, state_dir=root / "state", report_dir=root.parent / "reports")


def told(data: str) -> Any:
    return json.loads(data, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_the_summary_of_every_report_is_as_its_schema_says(logs: LogBuilder) -> None:
    made = report(settings_of(logs), "mine", make_clock(), page=False)
    document = told((made.folder / "summary.json").read_text())
    Draft202012Validator(SUMMARY).validate(document)
    assert set(document) == set(SUMMARY["required"]) == set(SUMMARY["properties"])


def test_every_row_is_as_its_schema_says(
    logs: LogBuilder, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--log_dir", str(logs.root), "--state_dir", str(logs.root / "state")]
    assert main(["report", *flags, "--format", "ndjson"]) == 0
    rows = [told(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == len((logs.folder / "items.txt").read_text().split()) + (
        "skipped" in (logs.folder / "batch.json").read_text()
    )
    for row in rows:
        Draft202012Validator(ITEMS).validate(row)


def test_the_schemas_are_schemas() -> None:
    for schema in (SUMMARY, ITEMS):
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "change",
    [{"state": "fine"}, {"tokens": "5"}, {"more": 1}, {"item": None}, {"scores": {"b": "1"}}],
)
def test_a_row_that_is_none_is_told_from_one(change: dict[str, Any], tmp_path: Path) -> None:
    made = LogBuilder(tmp_path, "mine")
    good(made)
    row = next(open_batch("mine", settings_of(made)).items())
    assert Draft202012Validator(ITEMS).is_valid(row)
    assert not Draft202012Validator(ITEMS).is_valid(row | change)


def test_the_schema_of_a_row_is_made_from_the_table_of_fields() -> None:
    assert items_schema() == ITEMS, "write items_schema() to docs/schemas/items.schema.json"


@pytest.mark.parametrize("field", [*FIELDS, *ATTEMPT], ids=lambda field: field.name)
def test_every_field_is_in_the_document(field: Field) -> None:
    words = {"numbers": "mapping", "attempts": "list"}
    kind = words.get(field.type, field.type)
    row = f"| `{field.name}` | {kind} | {field.unit} | {field.description} |\n"
    assert row in DOCUMENT.read_text()


def test_the_document_has_no_other_field() -> None:
    listed = re.findall(
        r"^\| `(\w+)` \| (?:string|integer|number|mapping|list) \|", DOCUMENT.read_text(), re.M
    )
    assert listed == [field.name for field in (*FIELDS, *ATTEMPT)]


# from Python


def test_a_batch_from_python_has_the_records_of_the_command_line(
    logs: LogBuilder, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--log_dir", str(logs.root), "--state_dir", str(logs.root / "state")]
    main(["report", *flags, "--format", "json"])
    printed = told(capsys.readouterr().out)
    settings = settings_of(logs)
    batch = open_batch("mine", settings)
    assert list(batch.items()) == printed["items"]
    made = report(settings, "mine", make_clock(), page=False)
    document = told((made.folder / "summary.json").read_text())
    assert batch.summary() | {"files": document["files"]} == document


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    made = LogBuilder(tmp_path, "mine")
    good(made)
    batch = open_batch("mine", settings_of(made))
    assert [item["item"] for item in batch.items("item=b")] == ["b"]
    with pytest.raises(UsageError, match="no field 'stat'"):
        batch.items("stat=failed")
    with pytest.raises(BatchMissing):
        batch.status()
    with pytest.raises(BadInput, match="holds no logs of a batch other"):
        open_batch("other", settings_of(made)).summary()


def test_the_python_of_the_document_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad(LogBuilder(tmp_path / "local-logs", "mine"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COORDINATOR_STATE_DIR", str(tmp_path / "state"))
    (block,) = [block for block in blocks(DOCUMENT) if block.language == "python"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block.text, str(DOCUMENT), "exec"), {})
    printed = out.getvalue().splitlines()
    assert "'failed': 3" in printed[0]
    assert printed[1] == "a timeout slow"


def test_importing_the_package_imports_none_of_it() -> None:
    """So that `coordinator --help` and every worker start at once."""
    code = (
        "import sys, coordinator; print([m for m in sys.modules if m.startswith('coordinator.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['coordinator.lazily']"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = coordinator.nothing
