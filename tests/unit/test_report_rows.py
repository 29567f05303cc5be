"""One row per item: every field is there, named with its unit, and says what the logs say."""

import csv
import io
import re
from pathlib import Path

import pytest

from coordinator.domain.handoff import FileRecord
from coordinator.domain.states import FailureKind
from coordinator.domain.verdicts import Ending
from coordinator.reports import local_reports
from coordinator.reports.reading import read_batch
from coordinator.reports.report import sort_items
from coordinator.reports.rows import ATTEMPT, FIELDS, Row, flat, flat_names, item_rows
from coordinator.reports.tables import scores_of
from coordinator.reports.tree import Tree
from tests.log_trees import LogBuilder, outcome
from tests.support import REPOSITORY

USED = {"memory_mb": {"mean": 10.0, "peak": 20.5}, "cores": {"mean": 1.5, "peak": 2.0}}
FACTS = {"load_seconds": 4.0, "seconds": 2.0, "tokens": 100, "sentences": 7, "truncated": 1}


@pytest.fixture
def logs(tmp_path: Path) -> LogBuilder:
    return LogBuilder(tmp_path / "logs")


def rows_of(logs: LogBuilder) -> dict[str, Row]:
    tree = Tree(logs.root.resolve())
    batch = read_batch(tree, tree.base / logs.batch, None)
    reports = sort_items(batch).reports
    found = item_rows(batch, reports, {}, scores_of(reports), tree.base)
    return {row["item"]: row for row in found}


def test_every_row_has_the_fields_of_the_table_in_their_order(logs: LogBuilder) -> None:
    logs.submit("done", "failed", "never")
    logs.through("done")
    logs.fail("translate", "failed", FailureKind.MODEL_ERROR, "no")
    for row in rows_of(logs).values():
        assert list(row) == [field.name for field in FIELDS]
        assert all(list(one) == [field.name for field in ATTEMPT] for one in row["tries"])


def test_what_the_model_and_the_job_did_is_told(logs: LogBuilder) -> None:
    logs.submit("a")
    logs.succeed("translate", "a", **FACTS, languages=["eng", "fra"], resources=USED)
    logs.succeed("score", "a", seconds=0.1, scores={"bleu": 31.5}, sentences=7)
    row = rows_of(logs)["a"]
    expected = {
        "source_language": "eng",
        "target_language": "fra",
        "started_at": 10.0,
        "ended_at": 12.5,
        "wait_s": 9.0,  # claimed at 1, begun at 10
        "work_s": 5.0,  # 2.5 in each step
        "load_s": 4.0,
        "model_s": 2.0,
        "sentences": 7,
        "tokens": 100,
        "truncated": 1,
        "tokens_per_s": 50.0,
        "cores_mean": 1.5,
        "memory_peak_bytes": 20_500_000,
        "gpu_percent_mean": None,
        "scores": {"bleu": 31.5},
    }
    assert {name: row[name] for name in expected} == expected
    assert [one["step"] for one in row["tries"]] == ["translate", "score"]
    assert row["tries"][0]["claimed_at"] == 1.0
    assert row["tries"][0]["job_ended_at"] == 3.0


def test_attempts_are_listed_by_step_and_number_with_their_folders(logs: LogBuilder) -> None:
    logs.submit("a")
    logs.crash("translate", "a", "", exit_code=137)
    logs.through("a")
    tries = rows_of(logs)["a"]["tries"]
    seen = [(t["step"], t["number"], t["state"], t["kind"], t["exit_code"]) for t in tries]
    assert seen == [
        ("translate", 1, "failed", "out_of_memory", 137),
        ("translate", 2, "succeeded", None, 0),
        ("score", 1, "succeeded", None, 0),
    ]
    assert all((logs.root / one["folder"] / "dispatch.json").is_file() for one in tries)


def test_the_bytes_of_what_succeeded_are_counted(logs: LogBuilder) -> None:
    made = outcome().model_copy(update={"files": (FileRecord(name="t", size=12, sha256=""),)})
    logs.submit("a")
    logs.dispatch("translate", "a", outcomes={"a": made}, ending=Ending(exit_code=0))
    assert rows_of(logs)["a"]["output_bytes"] == 12


@pytest.mark.parametrize("value", [float("1e400"), -1, True, "9", None, [1], 10**40])
def test_a_fact_that_is_no_measurement_is_left_out(logs: LogBuilder, value: object) -> None:
    logs.submit("a")
    facts = dict.fromkeys(["tokens", "seconds", "sentences", "load_seconds"], value)
    used = {"memory_mb": {"peak": value}, "cores": value}
    logs.succeed("translate", "a", **facts, resources=used, languages=value)
    row = rows_of(logs)["a"]
    names = ("tokens", "model_s", "sentences", "load_s", "memory_peak_bytes", "source_language")
    assert [row[name] for name in names] == [None] * len(names)


def test_a_table_has_the_flat_fields_and_the_scores_last(logs: LogBuilder, tmp_path: Path) -> None:
    logs.submit("a", "b")
    logs.through("a", scores={"chrf": 50.0, "bleu": 1.25})
    local_reports(logs.root, run_list=None, report_dir=tmp_path / "report", batch=None)
    text = (tmp_path / "report" / "summary.csv").read_text()
    header, first, _ = csv.reader(io.StringIO(text))
    assert header == flat_names(["bleu", "chrf"])
    assert header[:3] == ["item", "state", "kind"]
    assert header[-2:] == ["score_bleu", "score_chrf"]
    assert "tries" not in header
    row = rows_of(logs)["a"]
    assert first == ["" if cell is None else str(cell) for cell in flat(row, ["bleu", "chrf"])]


def test_the_guide_names_every_column_of_the_table() -> None:
    guide = (REPOSITORY / "docs" / "interpreting-reports.md").read_text()
    table = guide.partition("`summary.csv` has one row per item")[2].partition("`scores.csv` has")[
        0
    ]
    named = set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in _rows_in(table))))
    assert named >= {field.name for field in FIELDS if field.is_flat}


def _rows_in(table: str) -> list[str]:
    return [line for line in table.splitlines() if line.startswith("|")]
