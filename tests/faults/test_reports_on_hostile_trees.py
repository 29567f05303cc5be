"""A log tree of which every name and field may be hostile: its report shows it all as text.

`test_injections.py` has the reasons and the lines of logs; here is what else a tree may hold.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from coordinator.domain.handoff import Failure
from coordinator.domain.paths import DispatchLogs
from coordinator.domain.states import FailureKind
from coordinator.domain.verdicts import Ending
from coordinator.reports import local_reports
from coordinator.reports.render import render
from coordinator.reports.rules import read_rules
from tests.faults import strings
from tests.log_trees import LogBuilder, outcome
from tests.support import REPOSITORY

FORMULA = re.compile(r"[\s\u00a0]*[=+\-@＝＋－＠]")
TEXTS = {n: text for n, text in enumerate(strings.WHOLE) if len(text) < 1000}
NAMES = {
    number: text
    for number, text in TEXTS.items()
    if 0 < len(text.encode()) < 200 and not set(text) & set("/\0") and text.strip(".")
}
ALL_IN_ONE = "\x1b]0;t\x07\u202e\r\n=1+1<script>alert(1)</script>[bold]"


def is_active(text: str) -> bool:
    return any(map(strings.acts, text))


def cells(report: Path) -> Iterator[tuple[str, list[list[str]]]]:
    for path in report.glob("*.csv"):
        data = path.read_bytes().decode()
        yield path.name, list(csv.reader(io.StringIO(data, newline="")))


# our own tree


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the report, and what is printed of it."""
    folder = tmp_path_factory.mktemp("tree")
    logs = LogBuilder(folder / "logs", steps=("say",))
    items = [f"{way}{n:03d}" for way in "abcd" for n in TEXTS]
    logs.submit(*items, limited=ALL_IN_ONE)
    for number, text in TEXTS.items():
        _well_done(logs, f"a{number:03d}", text)
        _badly_done(logs, f"b{number:03d}", text)
    for number, text in NAMES.items():
        _in_such_a_step(logs, f"c{number:03d}", text)
        _beside_such_files(logs, f"d{number:03d}", text)
    _of_such_a_batch(logs.folder / "batch.json")
    summary = local_reports(logs.root, run_list=None, report_dir=folder / "report", batch=None)
    return folder / "report", printed(summary)


def _well_done(logs: LogBuilder, item: str, text: str) -> None:
    facts = {
        "languages": [text, text],
        "scores": {text: 0.5, "bleu": 1.0},
        "signatures": {text: text},
        "suspicious": {"sentences": 1, "empty": 1, "scripts": [text, text], "flags": [text]},
        "limited": text,
    }
    done = outcome(facts=facts).model_copy(update={"message": text})
    made = logs.dispatch("say", item, outcomes={item: done}, ending=Ending(exit_code=0))
    _rewrite(made, lambda record: record.update(node=text, job_id=text))


def _badly_done(logs: LogBuilder, item: str, text: str) -> None:
    failure = Failure(kind=FailureKind.MODEL_ERROR, message=text, traceback=text)
    made = logs.dispatch(
        "say", item, outcomes={item: outcome(failure=failure)}, ending=Ending(detail=text)
    )
    _rewrite(made, lambda record: record["attempts"][0].update(reason=text))


def _in_such_a_step(logs: LogBuilder, item: str, text: str) -> None:
    logs.dispatch(text, item, ending=Ending(detail=text), name=text)


def _beside_such_files(logs: LogBuilder, item: str, text: str) -> None:
    """The main task says nothing, so the one of this name is heard; the links are told."""
    made = logs.dispatch("say", item, ending=Ending(exit_code=1))
    (made.folder / f"{text}.stderr.0").write_text(f"Traceback (most recent call last):\n{text}\n")
    (made.folder / text).symlink_to("/etc/passwd")
    (made.outcomes / text).write_text(text)


def _rewrite(made: DispatchLogs, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads(made.record.read_text())
    change(record)
    made.record.write_text(json.dumps(record))


def _of_such_a_batch(path: Path) -> None:
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "batch": ALL_IN_ONE}))


def printed(summary: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=200, markup=False, emoji=False, soft_wrap=True).print(render(summary))
    return out.getvalue()


def test_all_of_it_was_read(told: tuple[Path, str]) -> None:
    """Else the tests below would find nothing because nothing is there."""
    counts = json.loads((told[0] / "summary.json").read_text())["counts"]
    # A step that only occurs stands before the last one: an item in it has not begun that.
    assert counts["succeeded"] == len(TEXTS)
    assert counts["failed"] == len(TEXTS) + 2 * len(NAMES)
    assert {"scores.csv", "suspicious.csv", "averages.csv"} <= {n for n, _ in cells(told[0])}


def test_the_printed_report_shows_it_as_text(told: tuple[Path, str]) -> None:
    assert not is_active(told[1])


def test_no_table_has_a_formula_or_a_broken_row(told: tuple[Path, str]) -> None:
    for name, rows in cells(told[0]):
        assert len(rows) > 1, name
        assert len({len(row) for row in rows}) == 1, name
        assert not [c for row in rows for c in row if FORMULA.match(c) or is_active(c)], name


def test_every_document_is_ascii_and_whole(told: tuple[Path, str]) -> None:
    for path in told[0].glob("*.json"):
        data = path.read_bytes()
        assert data.isascii()
        json.loads(data)
        assert not is_active(data.decode()), path.name


def test_every_list_has_ids_alone(told: tuple[Path, str]) -> None:
    for path in told[0].glob("*.txt"):
        lines = path.read_text().split("\n")
        assert all(re.fullmatch(r"[abcd]\d{3}", line) for line in lines[:-1]), path.name


def test_every_file_of_it_has_a_plain_name(told: tuple[Path, str]) -> None:
    for path in told[0].iterdir():
        assert re.fullmatch(r"\w[\w.+-]*", path.name, re.ASCII), path.name


# a tree that is read by rules


@pytest.fixture(scope="module")
def by_rules(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("fim")
    pipeline = folder / "logs/b/pipeline"
    for number, text in NAMES.items():
        fields = f"aoi_name=i{number:03d},collection={text}" if set(text).isdisjoint("[]") else text
        dispatch = pipeline / f"dispatch-[{fields}]-{number}-0123abcd"
        dispatch.mkdir(parents=True)
        line = f"2026-02-03 04:05:06,007 ERROR Pipeline FAILED: {text}\n{text}\n"
        (dispatch / "coordinator.stderr.0").write_text(line)
        (dispatch / f"{text}.stdout.0").write_text(f"No space left on device {text}\n")
        (dispatch / text).symlink_to("/etc/passwd")
    summary = local_reports(
        folder / "logs",
        run_list=None,
        report_dir=folder / "report",
        batch=None,
        rules=read_rules(REPOSITORY / "inputs/rules/fim-pipeline.yml"),
    )
    return folder / "report", printed(summary)


def test_by_rules_too_it_is_text(by_rules: tuple[Path, str]) -> None:
    report, screen = by_rules
    messages = json.loads((report / "messages.json").read_text())
    assert len(messages["unknown"]) > len(NAMES) - 10
    assert not is_active(screen)
    for name, rows in cells(report):
        assert not [c for row in rows for c in row if FORMULA.match(c) or is_active(c)], name
    for path in report.glob("*.json"):
        assert path.read_bytes().isascii()
