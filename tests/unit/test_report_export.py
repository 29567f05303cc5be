"""Rows of items for programs: formats, fields, filters, and the exit code of the outcome."""

import csv
import io
import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from coordinator.bootstrap import make_clock
from coordinator.cli import main
from coordinator.commands.exporting import Wish, items_of, outcome_of, text_of, write_to
from coordinator.domain.plain import plain
from coordinator.domain.states import FailureKind
from coordinator.domain.verdicts import Ending
from coordinator.errors import ExitCode, UsageError
from coordinator.reports.export.fields import columns_of
from coordinator.reports.items import Items
from coordinator.reports.rows import FIELDS
from coordinator.settings import Settings
from tests.log_trees import LogBuilder, outcome

EVIL = "</failure>]]><x a='\"&\x00\x0b\x1b[31m\u202e\ufffe\ufdd0"
FACTS = {"tokens": 300, "seconds": 2.0, "load_seconds": 4.0, "languages": ["eng", "fra"]}


@pytest.fixture
def logs(tmp_path: Path) -> LogBuilder:
    """Two good ones, a failure with a hostile reason, one that still runs and one never begun."""
    made = LogBuilder(tmp_path / "logs")
    made.submit("bad", "good", "high", "never", "out")
    for item, score in (("good", 20.5), ("high", 31.0)):
        made.succeed("translate", item, **FACTS)
        made.succeed("score", item, scores={"bleu": score, "chrf++": 50.0})
    made.fail("translate", "bad", FailureKind.MODEL_ERROR, EVIL)
    made.dispatch("translate", "out")
    return made


def items(logs: LogBuilder) -> Items:
    root = logs.root
    return items_of(Settings(log_dir=root, state_dir=root / "state"), None, make_clock())


def text(logs: LogBuilder, form: Any, *filters: str, fields: str = "") -> str:
    names = tuple(filter(None, fields.split(",")))
    return "".join(text_of(items(logs), Wish(form, names, filters)))


def ids(logs: LogBuilder, *filters: str) -> list[str]:
    rows = [json.loads(line) for line in text(logs, "ndjson", *filters).splitlines()]
    return [row["item"] for row in rows]


# formats


def test_csv_has_a_column_for_each_score(logs: LogBuilder) -> None:
    rows = list(csv.DictReader(io.StringIO(text(logs, "csv"), newline="")))
    assert [row["item"] for row in rows] == ["bad", "good", "high", "never", "out"]
    flat = [field.name for field in FIELDS if field.is_flat]
    assert list(rows[0]) == [*flat, "score_bleu", "score_chrf++"]
    assert (rows[1]["score_bleu"], rows[1]["tokens"]) == ("20.5", "300")
    assert "\x1b" not in rows[0]["reason"]


def test_ndjson_and_json_have_the_same_records(logs: LogBuilder) -> None:
    lines = [json.loads(line) for line in text(logs, "ndjson").splitlines()]
    document = json.loads(text(logs, "json"))
    assert (document["schema"], document["batch"], document["items"]) == (1, "b", lines)
    assert all(list(line) == [field.name for field in FIELDS] for line in lines)
    assert lines[1]["scores"] == {"bleu": 20.5, "chrf++": 50.0}
    assert [one["step"] for one in lines[1]["tries"]] == ["translate", "score"]
    assert text(logs, "ndjson").isascii(), "so that a terminal acts on nothing in it"


def test_json_of_no_items_is_whole(logs: LogBuilder) -> None:
    assert json.loads(text(logs, "json", "kind=timeout"))["items"] == []


def test_parquet_keeps_types_units_and_all_rows(logs: LogBuilder, tmp_path: Path) -> None:
    files = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "made" / "rows.parquet"
    write_to(out, items(logs), Wish("parquet"))
    table = files.read_table(out)
    rows = {row["item"]: row for row in table.to_pylist()}
    assert list(rows) == ["bad", "good", "high", "never", "out"]
    assert rows["high"]["score_bleu"] == 31.0 and rows["bad"]["score_bleu"] is None
    assert [one["number"] for one in rows["good"]["tries"]] == [1, 1]
    assert rows["bad"]["tries"][0]["reason"] == EVIL, "a column holds any text"
    assert str(table.schema.field("tokens").type) == "int64"
    assert table.schema.field("work_s").metadata[b"unit"] == b"s"
    assert table.schema.metadata[b"batch"] == b"b"


def test_parquet_is_written_in_groups(
    logs: LogBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("coordinator.reports.export.parquet._GROUP", 2)
    write_to(tmp_path / "x", items(logs), Wish("parquet"))
    assert files.ParquetFile(tmp_path / "x").num_row_groups == 3


def test_without_the_extra_parquet_says_what_to_install(
    logs: LogBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError) as refused:
        write_to(tmp_path / "x", items(logs), Wish("parquet"))
    assert "coordinator[parquet]" in refused.value.hint
    assert not list(tmp_path.glob("*x*")), "nothing half is left"


@pytest.mark.parametrize("form", ["csv", "ndjson", "json", "junit", "parquet"])
def test_what_no_format_can_hold_is_left_out(tmp_path: Path, form: Any) -> None:
    """Times, sizes and numbers that are none, from outcomes that a worker made up."""
    logs = LogBuilder(tmp_path / "logs")
    logs.submit("x")
    place = logs.dispatch(
        "translate", "x", outcomes={"x": outcome()}, ending=Ending(exit_code=2**70)
    )
    wild = json.loads(place.outcome("x").read_text())
    wild |= {"started_at": float("nan"), "ended_at": float("inf")}
    wild["facts"] = {"tokens": 2**80, "scores": {"bleu": float("inf")}, "seconds": float("nan")}
    wild["files"] = [{"name": "f", "size": 2**70, "sha256": ""}]
    place.outcome("x").write_text(json.dumps(wild))
    out = tmp_path / "out"
    write_to(out, items(logs), Wish(form))
    data = out.read_bytes()
    if form in ("ndjson", "json"):
        found = json.loads(data, parse_constant=lambda name: pytest.fail(name))
        row = found["items"][0] if form == "json" else found
        assert (row["started_at"], row["work_s"], row["output_bytes"]) == (None, None, None)
        assert row["tries"][0]["exit_code"] is None
    elif form == "csv":
        assert not re.search(rb"nan|inf", data.splitlines()[1])
    elif form == "junit":
        assert ElementTree.fromstring(data).get("time") == "0.000"


def test_half_a_character_is_written_out() -> None:
    assert plain({"\ud800": ["a\udfff"]}) == {"\\ud800": ["a\\udfff"]}


def test_limited_batches_say_so_in_every_row(tmp_path: Path) -> None:
    logs = LogBuilder(tmp_path / "logs")
    logs.submit("x", limited="limited: the first 3 items")
    logs.through("x")
    words = "limited: the first 3 items"
    assert json.loads(text(logs, "ndjson"))["limited"] == words
    assert next(csv.DictReader(io.StringIO(text(logs, "csv"))))["limited"] == words
    suite = ElementTree.fromstring(text(logs, "junit")).find("testsuite/properties/property")
    assert suite is not None and suite.get("value") == words


# JUnit


def test_junit_has_a_case_for_each_item(logs: LogBuilder) -> None:
    suite = ElementTree.fromstring(text(logs, "junit")).find("testsuite")
    assert suite is not None
    cases = {case.get("name"): case for case in suite.findall("testcase")}
    assert list(cases) == ["bad", "good", "high", "never", "out"]
    assert cases["good"].get("classname") == "b.score"
    assert cases["bad"].get("classname") == "b.translate"
    failure = cases["bad"].find("failure")
    assert failure is not None and failure.get("type") == "model_error"
    assert "\\x00\\x0b\\u202e\\ufffe" in failure.get("message", "")
    place = cases["bad"].findtext("system-out") or ""
    assert place.startswith("b/translate/") and place.endswith("worker.stderr.0:2")
    skipped = {name: case.find("skipped") for name, case in cases.items()}
    assert [n for n, found in skipped.items() if found is not None] == ["never", "out"]
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "1", "errors": "0", "skipped": "2"}


# As the XSD of Jenkins' xunit plugin has it (junit-10.xsd): element -> attributes that it must
# have, attributes that it may have, and its children in their order.
SHAPES: dict[str, tuple[set[str], set[str], list[str]]] = {
    "testsuites": (
        set(),
        {"name", "time", "tests", "failures", "disabled", "errors"},
        ["testsuite"],
    ),
    "testsuite": (
        {"name"},
        {
            *("tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname"),
            *("id", "package", "file", "log", "url", "version"),
        },
        ["properties", "testcase", "system-out", "system-err"],
    ),
    "properties": (set(), set(), ["property"]),
    "property": ({"name", "value"}, set(), []),
    "testcase": (
        {"name"},
        {"assertions", "time", "timestamp", "classname", "status", "class", "file", "line"},
        ["skipped", "error", "failure", "system-out", "system-err"],
    ),
    "failure": (set(), {"type", "message"}, []),
    "skipped": (set(), {"type", "message"}, []),
    "system-out": (set(), set(), []),
}


def assert_valid(element: Element) -> None:
    required, optional, children = SHAPES[element.tag]
    assert required <= set(element.attrib) <= required | optional, element.attrib
    places = [children.index(child.tag) for child in element]
    assert places == sorted(places), "children out of order"
    for name in ("tests", "failures", "errors", "skipped"):
        assert re.fullmatch(r"\d+", element.get(name, "0"))
    assert re.fullmatch(r"\d+\.\d+", element.get("time", "0.0"))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", element.get("timestamp", "2026-01-01T00:00:00")
    )
    for child in element:
        assert_valid(child)


def test_junit_is_valid_and_has_no_character_that_xml_lacks(logs: LogBuilder) -> None:
    made = text(logs, "junit")
    assert not re.search("[\x00-\x08\x0b-\x1f\ufffe\uffff\u202e]", made)
    assert_valid(ElementTree.fromstring(made))


# fields and filters


def test_only_the_fields_that_were_asked_for_in_that_order(logs: LogBuilder) -> None:
    assert text(logs, "csv", "item=high", fields="score_bleu,item") == (
        '"score_bleu","item"\r\n31.0,"high"\r\n'
    )
    found = json.loads(text(logs, "ndjson", "item=high", fields="item,scores,score_bleu"))
    assert found == {"item": "high", "scores": {"bleu": 31.0, "chrf++": 50.0}, "score_bleu": 31.0}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["state=failed"], ["bad"]),
        (["state!=succeeded"], ["bad", "never", "out"]),
        (["state = succeeded", "score_bleu>25"], ["high"]),
        (["score_bleu<25"], ["good"]),
        (["score_bleu=20.5"], ["good"]),
        (["kind="], ["good", "high", "never", "out"]),
        (["kind!="], ["bad"]),
        (["tokens=300", "tokens!=299"], ["good", "high"]),
        (["source_language=eng"], ["good", "high"]),
        (["step=score"], ["good", "high"]),
        (["score_chrf++>49"], ["good", "high"]),
        (["reason="], ["good", "high", "never", "out"]),
    ],
)
def test_items_for_which_all_conditions_hold(
    logs: LogBuilder, filters: list[str], expected: list[str]
) -> None:
    assert ids(logs, *filters) == expected


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("stat=failed", "did you mean state?"),
        ("state=faild", "did you mean failed?"),
        ("kind=out_of_memry", "did you mean out_of_memory?"),
        ("source_language=engl", "did you mean eng?"),
        ("item=god", "did you mean good?"),
        ("step=translat", "did you mean translate?"),
        ("score_blue=1", "did you mean score_bleu"),
        ("tokens=many", "is a number"),
        ("tokens>", "is a number"),
        ("node>a", "is no number"),
        ("tokens<=5", "is a number"),
        ("tries=1", "several values"),
        ("failed", "is no condition"),
        ("=failed", "is no condition"),
    ],
)
def test_a_condition_that_cannot_be_is_told(logs: LogBuilder, condition: str, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        text(logs, "ndjson", condition)
    assert why in f"{refused.value.what} {refused.value.why} {refused.value.hint}"


def test_a_field_that_cannot_be_is_told(logs: LogBuilder) -> None:
    with pytest.raises(UsageError, match="no field 'stat'") as refused:
        text(logs, "csv", fields="item,stat")
    assert refused.value.hint.startswith("did you mean state?")
    with pytest.raises(UsageError, match="field tries does not fit into a cell"):
        text(logs, "csv", fields="tries")


def test_every_field_can_be_asked_for(logs: LogBuilder) -> None:
    names = list(columns_of(items(logs)))
    assert set(json.loads(text(logs, "ndjson", "item=good", fields=",".join(names)))) == set(names)


# outcome


def test_the_outcome_of_a_batch(logs: LogBuilder, tmp_path: Path) -> None:
    assert outcome_of(items(logs).summary) is ExitCode.STOPPED_EARLY, "one runs, one never began"
    for batch, code in (("good", 0), ("bad", 1), ("left", 1), ("idle", 3)):
        one = LogBuilder(tmp_path / batch)
        left = {"skipped": [{"id": "z", "reason": "no"}]} if batch == "left" else {}
        one.submit("x", *("y" for _ in [0] if batch == "idle"), **left)
        if batch == "bad":
            one.fail("translate", "x", FailureKind.TIMEOUT, "slow")
        else:
            one.through("x")
        assert outcome_of(items(one).summary) == code, batch


def command(logs: LogBuilder, *flags: str) -> int:
    places = ["--log_dir", str(logs.root), "--state_dir", str(logs.root / "state")]
    return main(["report", *places, *flags])


def test_the_exit_code_is_the_outcome_where_it_is_asked_for(
    logs: LogBuilder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ("--report_dir", str(tmp_path / "report"))
    assert command(logs, *folder) == 0
    assert command(logs, *folder, "--exit_code") == 3
    assert command(logs, "--format", "csv") == 0
    assert command(logs, "--format", "csv", "--filter", "state=succeeded", "--exit_code") == 3
    capsys.readouterr()


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--fields", "item"), "there is no --format"),
        (("--format", "csv", "--json"), "two documents"),
        (("--format", "parquet"), "--out FILE"),
        (("--format", "csv", "--report_dir", "x"), "are about a report"),
        (("--format", "junit", "--fields", "item"), "its fields are fixed"),
    ],
)
def test_flags_that_do_not_go_together(
    logs: LogBuilder, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], why: str
) -> None:
    assert command(logs, *flags) == 2
    printed = capsys.readouterr()
    assert why in printed.err + printed.out


def test_a_file_is_whole_and_told(
    logs: LogBuilder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows.ndjson"
    assert command(logs, "--format", "ndjson", "--out", str(out), "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"]["out"] == str(out)
    assert out.read_text() == text(logs, "ndjson")
    assert command(logs, "--format", "ndjson", "--out", str(out), "--filter", "state=x") == 2
    assert out.read_text() == text(logs, "ndjson"), "as it was"
    capsys.readouterr()
