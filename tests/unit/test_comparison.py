"""Two batches side by side: what is compared, and how it is written."""

import io
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from coordinator.bootstrap import make_clock
from coordinator.cli import compared, main
from coordinator.commands.comparing import compare
from coordinator.domain.states import FailureKind
from coordinator.errors import BadInput, UsageError
from coordinator.metrics import read_languages
from coordinator.reports.comparison.changes import Change, State, changes_of
from coordinator.reports.comparison.facts import read_facts
from coordinator.reports.comparison.groups import group_differences
from coordinator.reports.comparison.heatmap import heat_map
from coordinator.reports.comparison.legend import Legend
from coordinator.reports.comparison.markup import markup
from coordinator.reports.comparison.pace import StepPace
from coordinator.reports.comparison.result import Comparison, PairedTests
from coordinator.reports.comparison.sheets import Extent, Kind, Sheet, sheets_of
from coordinator.reports.significance import Difference, adjusted
from coordinator.settings import Settings
from tests.comparisons import EVIL, hostile
from tests.log_trees import LogBuilder

LANGUAGES = {"x": ("eng", "fra"), "y": ("fra", "eng"), "z": ("eng", "tam")}


def tree(root: Path, batch: str, scores: dict[str, float], **more: Any) -> LogBuilder:
    logs = LogBuilder(root, batch)
    logs.submit(*LANGUAGES, "w", **more)
    for item, score in scores.items():
        logs.succeed("translate", item, tokens=100, load_seconds=4.0)
        logs.succeed("score", item, scores={"bleu": score}, languages=LANGUAGES[item])
    return logs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    a = tree(tmp_path, "a", {"x": 10.0, "y": 20.0})
    a.fail("translate", "z", FailureKind.OUT_OF_MEMORY, "too large")
    tree(tmp_path, "b", {"x": 12.5, "z": 5.0}).fail("score", "y", FailureKind.TIMEOUT, "slow")
    return tmp_path


def found_in(root: Path, a: str = "a", b: str = "b") -> Comparison:
    settings = Settings(log_dir=root, state_dir=root / "state")
    return compare(settings, a, b, make_clock(), lambda *_: None)


def test_what_two_log_trees_alone_can_say(root: Path) -> None:
    found = found_in(root)
    (row,) = found.rows
    assert (row.metric, row.mean_a, row.mean_b, row.better) == ("bleu", 10.0, 12.5, 1)
    assert (found.common, found.only_a, found.only_b) == (("x",), ("y",), ("z",))
    assert found.changes == (
        Change(State("failed", "out_of_memory"), State("succeeded"), ("z",)),
        Change(State("succeeded"), State("failed", "timeout"), ("y",)),
    )
    assert found.tests is None
    assert found.unknown == "the ledger of batch a is not on this machine"
    into = {g.group: g.difference for g in found.groups if g.way == "into"}
    assert into == {"fra": 2.5, "Indo-European": 2.5, "Latn": 2.5, "high": 2.5}


def test_signatures_in_the_logs_keep_unlike_scores_apart(tmp_path: Path) -> None:
    for batch, version in (("a", "2.6.0"), ("b", "1.5.1")):
        logs = LogBuilder(tmp_path, batch)
        logs.submit("x", "y")
        for item, told in (("x", version), ("y", "2.6.0")):
            facts = {"scores": {"bleu": 1.0, "own": 2.0}, "signatures": {"bleu": told, "own": 3}}
            logs.succeed("translate", item)
            logs.succeed("score", item, **facts)
    found = found_in(tmp_path)
    assert found.legend == (Legend("bleu", ("2.6.0",), ("1.5.1", "2.6.0"), ("x",)),)
    assert {row.metric: row.common for row in found.rows} == {"bleu": 1, "own": 2}
    notes = sheets_of(found, Extent())[0].notes
    assert "! signatures are not known here, so settings may differ: own" in notes


def test_a_test_that_was_asked_for_and_cannot_be_is_an_error(root: Path) -> None:
    settings = Settings(log_dir=root, state_dir=root / "state")
    with pytest.raises(BadInput, match="ledger of batch a is not on this machine"):
        compare(settings, "a", "b", make_clock(), lambda *_: None, test="bootstrap")


def run(root: Path, *flags: str) -> int:
    places = ("--log_dir", str(root), "--state_dir", str(root / "state"))
    return main(["compare", "a", "b", *places, *flags])


@pytest.mark.parametrize(
    ("name", "begin"),
    [("c.md", "# b against a\n"), ("c.TEX", "% b against a\n"), ("c.txt", "metric")],
)
def test_the_name_of_the_file_says_the_format(
    root: Path, capsys: pytest.CaptureFixture[str], name: str, begin: str
) -> None:
    out = root / "made" / name
    assert run(root, "--out", str(out)) == 0
    assert out.read_text().startswith(begin)
    assert capsys.readouterr().out.endswith(f"written to {out}\n")


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--metric", "blue"), "did you mean bleu"),
        (("--resamples", "0"), "--resamples 0 cannot be"),
        (("--top", "-1"), "--top -1 cannot be"),
        (("--out", "a/batch.json/c.md"), "batch.json/c.md cannot be written"),
    ],
)
def test_what_cannot_be_is_an_error(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, str],
    why: str,
) -> None:
    monkeypatch.chdir(root)
    assert run(root, *flags) == 2
    printed = capsys.readouterr()
    assert (printed.out, "Traceback" in printed.err) == ("", False)
    assert why in printed.err


def test_a_batch_without_scores_is_an_error(root: Path) -> None:
    tree(root, "none", {})
    with pytest.raises(BadInput, match="batch none has no scores"):
        found_in(root, "none", "b")


def test_an_item_of_one_batch_only_is_absent_from_the_other() -> None:
    good = State("succeeded")
    (change,) = changes_of({"old": good, "same": good}, {"same": good})
    assert (str(change.before), str(change.after), change.items) == (
        "succeeded",
        "absent",
        ("old",),
    )


def test_the_most_frequent_change_comes_first() -> None:
    good, bad = State("succeeded"), State("failed", "lost")
    found = changes_of({"1": bad, "2": good, "3": good}, {"1": good, "2": bad, "3": bad})
    assert [change.items for change in found] == [("2", "3"), ("1",)]


def timed(
    logs: LogBuilder, step: str, facts: dict[str, Any], *, began: float, ended: float
) -> None:
    """One more dispatch, of the item x, that worked for so long."""
    place = logs.succeed(step, "x", **facts)
    path = place.outcome("x")
    outcome = json.loads(path.read_text()) | {"started_at": began, "ended_at": ended}
    path.write_text(json.dumps(outcome))
    record = json.loads(place.record.read_text()) | {"claimed_at": began - 6, "ended_at": ended}
    place.record.write_text(json.dumps(record))


def test_speed_and_cost_by_hand(tmp_path: Path) -> None:
    """Two dispatches of 10 s with 4 s of loading on 2 GPUs each, and 5 s of scoring."""
    pipeline = {
        "steps": [
            {"name": "translate", "resources": {"gpus": 2}},
            {"name": "score", "resources": {"gpus": 0}},
        ]
    }
    logs = LogBuilder(tmp_path, "a")
    logs.submit("x", pipeline=pipeline)
    facts = {"tokens": 300, "load_seconds": 4.0}
    timed(logs, "translate", facts, began=1004.0, ended=1010.0)
    timed(logs, "translate", facts, began=1024.0, ended=1030.0)
    timed(logs, "score", {"scores": {"bleu": 1.0}}, began=1040.0, ended=1045.0)
    pace = read_facts(tmp_path, "a").pace
    assert pace.steps == (
        StepPace("translate", 2, 2, 2, 2, 600, slot=20.0, load=8.0),
        StepPace("score", 0, 1, 1, 1, 0, slot=5.0, load=0.0),
    )
    assert pace.wall == 1045.0 - 998.0
    assert (pace.items, pace.items_per_second) == (1, 1 / 47)
    assert (pace.tokens_per_second, pace.gpu, pace.slot) == (600 / 47, 40.0, 25.0)
    assert (pace.load_share, pace.steps[0].tokens_per_slot_second) == (8 / 25, 50.0)


def test_a_dispatch_without_outcomes_took_from_its_submission_to_its_end(tmp_path: Path) -> None:
    logs = LogBuilder(tmp_path, "a")
    logs.submit("x")
    logs.crash("translate", "x", "killed")
    (translate, _) = read_facts(tmp_path, "a").pace.steps
    assert (translate.slot, translate.items, translate.attempts) == (1.0, 0, 1)


@pytest.mark.parametrize(
    "facts",
    [
        {"tokens": -1, "load_seconds": -5},
        {"tokens": True, "load_seconds": "4"},
        {"tokens": 10**15, "load_seconds": 1e300},
        {"tokens": None, "load_seconds": [1]},
    ],
)
def test_facts_that_cannot_be_right_count_as_nothing(tmp_path: Path, facts: Any) -> None:
    logs = LogBuilder(tmp_path, "a")
    logs.submit("x", pipeline={"steps": [{"name": "translate", "resources": {"gpus": -3}}]})
    timed(logs, "translate", facts, began=10.0, ended=20.0)
    (translate, _) = read_facts(tmp_path, "a").pace.steps
    assert (translate.tokens, translate.load, translate.gpus, translate.slot) == (0, 0, 0, 10)


@pytest.mark.parametrize("time", [1e308, -1e308, float("inf"), float("nan")])
def test_times_that_cannot_be_right_are_no_numbers_either(tmp_path: Path, time: float) -> None:
    logs = LogBuilder(tmp_path, "a")
    logs.submit("x")
    timed(logs, "translate", {}, began=10.0, ended=time)
    pace = read_facts(tmp_path, "a").pace
    assert (pace.wall, pace.slot) == (0.0, 0.0)
    json.dumps(pace.to_json(), allow_nan=False)


def test_groups_hold_the_directions_that_both_have() -> None:
    pairs = {"x": (10.0, 12.0), "y": (20.0, 20.0), "z": (1.0, 4.0), "unknown": (0.0, 99.0)}
    verdicts = {"x": "better", "y": "unclear", "z": "worse"}
    found = group_differences("bleu", pairs, LANGUAGES, verdicts, read_languages())
    by_key = {(g.way, g.by, g.group): g for g in found}
    out_of_english = by_key["out of", "language", "eng"]
    assert (out_of_english.items, out_of_english.a, out_of_english.b) == (2, 5.5, 8.0)
    assert (out_of_english.difference, out_of_english.better, out_of_english.worse) == (2.5, 1, 1)
    assert by_key["into", "script", "Taml"].items == 1
    assert ("within", "family", "Dravidian") not in by_key
    assert sum(g.items for g in found if (g.way, g.by) == ("into", "language")) == 3


WIDE = Extent(top=2, wide=True)


class Elements(HTMLParser):
    """Every element and every attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")


def test_html_holds_hostile_text_as_text() -> None:
    page = markup(hostile(), "html", WIDE)
    seen = Elements()
    seen.feed(page)
    assert not seen.tags & {"script", "iframe", "object", "embed", "link", "form", "svg"}
    assert not [name for name in seen.attributes if name.startswith("on")]
    assert all(src.startswith("data:image/svg+xml;base64,") for src in seen.attributes["src"])
    assert "default-src 'none'" in seen.attributes["content"][0]
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;" in page
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", page)
    assert "http" not in page.replace("http-equiv", "")


def test_the_heat_map_is_a_picture_without_anything_that_runs() -> None:
    picture = heat_map(hostile(), EVIL)
    assert picture is not None
    parts = list(ElementTree.fromstring(picture).iter())
    tags = {part.tag.rpartition("}")[2] for part in parts}
    assert tags <= {"svg", "g", "path", "text", "rect", "defs", "linearGradient", "stop", "line"}
    names = {name for part in parts for name in part.attrib}
    assert not [name for name in names if name.startswith("on") or "href" in name]
    assert any("onerror" in (part.text or "") for part in parts), "it is there, as text"


def test_without_the_extra_a_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UsageError) as refused:
        markup(hostile(), "html", WIDE)
    assert "coordinator[report]" in refused.value.hint


def test_a_page_without_the_means_to_draw_has_all_but_the_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    page = markup(hostile(), "html", WIDE)
    assert "<img" not in page
    assert "Average scores" in page and page.rstrip().endswith("</html>")


def test_markdown_holds_hostile_text_as_text() -> None:
    page = markup(hostile(), "markdown", WIDE)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", page)
    assert not re.search(r"(?<!\\)[<`$]", page)
    for line in page.splitlines():
        cells = re.split(r"(?<!\\)\|", line)
        assert len(cells) == 1 or (cells[0], cells[-1]) == ("", ""), line
    widths = {
        len({len(re.split(r"(?<!\\)\|", line)) for line in block.splitlines() if line[:1] == "|"})
        for block in page.split("\n## ")[1:]
        if "\n|" in block
    }
    assert widths == {1}, "each row of a table has as many cells as its header"


def test_latex_holds_hostile_text_as_text() -> None:
    page = markup(hostile(), "latex", WIDE)
    body = "\n".join(line for line in page.splitlines() if not line.startswith("% "))
    assert "\\input" not in body
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", page)
    assert not re.search(r"(?<!\\)[$%#]", body)
    commands = set(re.findall(r"\\([a-z]+)", body))
    assert commands <= {
        *("begin", "end", "caption", "toprule", "midrule", "bottomrule", "endhead", "noindent"),
        *("par", "textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater"),
        *("textbar", "textquotedbl", "textasciigrave", "textquotesingle"),
    }
    assert body.count("{") - body.count("\\{") == body.count("}") - body.count("\\}")


def test_json_has_numbers_and_all_of_them(root: Path) -> None:
    found = hostile()
    document = {"comparison": found.to_json()}
    text = compared.text("json", found, Extent(), document)
    told = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert told["schema"] == 1
    tests = told["comparison"]["significance"]["tests"]
    assert len(tests) == 4, "all, whatever a table names"
    for name in ("a", "b", "p_value", "adjusted"):
        assert all(isinstance(test[name], float) for test in tests)
    assert told["comparison"]["rows"][0]["difference"] == 1.5
    assert told["comparison"]["pace_a"]["steps"][0]["gpu_s"] == 60.0
    assert text.isascii()


def test_a_table_names_few_and_says_how_many_more() -> None:
    (sheet,) = [s for s in sheets_of(hostile(), Extent(top=2)) if "changed by more" in s.title]
    assert [row[3] for row in sheet.rows] == [3.0, 2.0], "the largest first"
    assert sheet.notes == ["and 1 more items on which B is better; the JSON has them all"]


@pytest.mark.parametrize(("count", "fewest"), [(49, 1), (50, 2), (51, 2), (10_100, 203)])
def test_few_samples_over_many_items_are_told(count: int, fewest: int) -> None:
    """999 samples: p is 0.001 or more; Benjamini and Hochberg multiply it by count / rank."""

    def tested(small: int) -> PairedTests:
        p_values = [0.001] * small + [1.0] * (count - small)
        found = [Difference(str(n), "bleu", 1.0, 2.0, p) for n, p in enumerate(p_values)]
        return PairedTests("bootstrap", 1, 999, tuple(adjusted(found)), ())

    tests = tested(fewest)
    assert tests.fewest == fewest
    assert tests.verdicts("bleu")["0"] == "better"
    assert set(tested(fewest - 1).verdicts("bleu").values()) == {"unclear"}
    sheets = sheets_of(replace(hostile(), tests=tests), Extent())
    said = [note for sheet in sheets for note in sheet.notes if "--resamples" in note]
    assert len(said) == (fewest > 1)


def test_nothing_that_a_terminal_acts_on_reaches_it() -> None:
    console = Console(file=io.StringIO(), width=10_000)
    console.print(*compared.tables(hostile(), Extent()), sep="\n")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\\x1b[31m" in shown
    assert not re.search(r"[\x1b\u202e]", shown)


def test_other_references_are_told() -> None:
    found = replace(hostile(), other_references=("x",))
    said = "! 1 item scored against different references: a difference may come of that alone"
    assert said in sheets_of(found, Extent())[0].notes
    assert found.to_json()["other_references"] == ["x"]


def test_different_settings_are_told_and_each_signature_once() -> None:
    sheets = {sheet.title: sheet for sheet in sheets_of(hostile(), Extent())}
    notes = [note for note in sheets["Average scores"].notes if "settings" in note]
    assert len(notes) == 1
    assert "1 item scored with different settings" in notes[0]
    assert [row[2] for row in sheets["Signatures"].rows] == [EVIL, "other"]


@pytest.mark.parametrize(
    ("kind", "cell", "shown"),
    [
        (Kind.CHANGE, 0.0, "0.00"),
        (Kind.CHANGE, 1.239, "+1.24"),
        (Kind.NUMBER, 45_520.4, "45,520"),
        (Kind.NUMBER, 0.20943, "0.209"),
        (Kind.NUMBER, None, ""),
        (Kind.P, 0.000_099_99, "0.0001"),
        (Kind.TEXT, "a\nb", "a\\nb"),
    ],
)
def test_how_a_cell_is_written(kind: Kind, cell: Any, shown: str) -> None:
    assert kind.shown(cell) == shown
    assert list(Sheet("", {"x": kind}, [[cell]]).lines()) == [[shown]]
