"""The numbers and words of the page, without a browser."""

import base64
import gzip
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import altair
import pytest
from jsonschema import ValidationError

from coordinator.domain.states import FailureKind
from coordinator.domain.usage import Use
from coordinator.reports import PageWish, local_reports
from coordinator.reports.html import History, Inputs, Moment, assets, charts, page_html
from coordinator.reports.html.columns import MOST_ITEMS, choose, columns_of
from coordinator.reports.html.lanes import Job, Lane, jobs_of, lanes_of, merged
from coordinator.reports.html.links import Links
from coordinator.reports.html.page import packed, script_json
from coordinator.reports.html.progress import progress_of
from coordinator.reports.html.scores import Metric, metric_of
from coordinator.reports.html.states import LOOKS
from coordinator.reports.html.use import Asked, StepUse, advice, asked_of, uses_of
from coordinator.reports.html.verdict import verdict_of
from coordinator.reports.resources import Usage
from coordinator.reports.rows import ATTEMPT, FIELDS
from tests.log_trees import LogBuilder
from tests.support import REPOSITORY


def one(**values: Any) -> dict[str, Any]:
    """A row; what is not given is not known."""
    empty = dict.fromkeys(field.name for field in FIELDS)
    return {**empty, "item": "a", "state": "succeeded", "tries": [], "scores": {}, **values}


def attempt(**values: Any) -> dict[str, Any]:
    empty = dict.fromkeys(field.name for field in ATTEMPT)
    known = {"step": "translate", "number": 1, "state": "succeeded", "node": "n", "folder": "b/t/d"}
    return {**empty, **known, **values}


def ran(start: float, end: float | None, state: str = "succeeded", **values: Any) -> dict[str, Any]:
    """A row of an item that was in flight from `start` to `end`."""
    return one(state=state, tries=[attempt(claimed_at=start, ended_at=end)], **values)


# progress


def test_items_in_flight_are_those_that_began_and_have_not_ended() -> None:
    rows = [ran(0, 10), ran(0, 20), ran(15, None, "running"), one(state="not_run")]
    found = progress_of(rows, now=30)
    assert found is not None
    assert (found.began, found.until) == (0, 30)
    level = dict(found.in_flight)
    assert [level[at] for at in (5.0, 12.0, 18.0, 25.0)] == [2, 1, 2, 1]


def test_a_finished_batch_ends_with_its_last_item_whenever_one_looks() -> None:
    found = progress_of([ran(0, 10), ran(5, 60)], now=1e9)
    assert found is not None
    assert found.until == 60
    assert sum(items for _, _, items, _ in found.finished) == 2


def test_the_estimate_is_the_pace_so_far_and_comes_true() -> None:
    rows = [ran(0, 10 * n) for n in range(1, 101)]  # one each 10 seconds
    found = progress_of(rows, now=0)
    assert found is not None
    assert found.estimates[0][0] >= 100  # not before a tenth is done
    assert all(960 <= end <= 1120 for _, end in found.estimates)
    assert found.estimates[-1][1] == 1000


def test_nothing_begun_is_no_progress() -> None:
    assert progress_of([one(state="not_run")], now=5) is None


def test_pauses_are_bands_and_an_open_one_lasts_to_the_end() -> None:
    found = progress_of([ran(0, 100)], now=100)
    assert found is not None
    moments = [Moment(10, "paused"), Moment(20, "resumed"), Moment(90, "credentials_paused")]
    spec = json.dumps(charts.in_flight(found, [("stop 5", 5)], moments))
    assert '{"from": 10000, "to": 20000}' in spec
    assert '{"from": 90000, "to": 100000}' in spec
    assert "stop 5" in spec


def test_altair_takes_every_chart_for_one() -> None:
    """It knows the schema of Vega-Lite; the page does without it."""
    found = progress_of([ran(0, 10 * n) for n in range(1, 41)], now=0)
    assert found is not None
    moments = [Moment(10, "paused"), Moment(20, "resumed")]
    metric = Metric("bleu", 2, "3.0", ((2.0, 4.0, 2),), (), ())
    lane = Lane("node-1", (("work", 0.0, 1.0), ("idle", 1.0, 2.0)))
    specs = [
        charts.in_flight(found, [("stop 5", 5)], moments),
        charts.in_flight(found, [], []),
        charts.throughput(found),
        charts.tokens(found),
        charts.estimates(found),
        charts.lanes([lane]),
        charts.distribution(metric),
        charts.heat(101),
    ]
    for spec in specs:
        assert altair.Chart.from_dict(spec).to_dict()["height"] == spec["height"]
    wrong = charts.throughput(found) | {"mark": {"type": "no mark"}}
    with pytest.raises(ValidationError):
        altair.Chart.from_dict(wrong)


# lanes


def test_overlapping_items_are_worked_on_once() -> None:
    assert merged([(5, 8), (0, 2), (1, 3), (8, 9)]) == [(0, 3), (5, 9)]


def test_the_time_of_a_job_adds_up() -> None:
    job = Job("translate", "d", "n", load=4, ended=20, begun=[(4, 6), (5, 9), (12, 13)])
    assert job.alive == (0, 20)
    assert job.seconds == {"load": 4, "work": 6, "idle": 10}


def test_jobs_that_run_at_once_have_lanes_of_their_own() -> None:
    jobs = [
        Job("t", "a", "n", load=2, ended=10, begun=[(2, 10)]),
        Job("t", "b", "n", load=2, ended=9, begun=[(3, 9)]),
        Job("t", "c", "n", load=1, ended=20, begun=[(12, 20)]),
        Job("t", "d", "m", load=0, ended=5, begun=[(1, 5)]),
    ]
    lanes = {lane.name: lane.segments for lane in lanes_of(jobs)}
    assert list(lanes) == ["m 1", "n 1", "n 2"]
    assert [what for what, _, _ in lanes["n 1"]] == ["load", "work", "load", "work"]
    assert [what for what, _, _ in lanes["n 2"]] == ["load", "work"]


def test_a_job_is_what_its_items_tell() -> None:
    tries = [attempt(started_at=10.0, ended_at=12.0, load_s=3.0, job_ended_at=15.0)]
    rows = [one(tries=tries), one(tries=[attempt(started_at=12.0, ended_at=14.0, load_s=3.0)])]
    (job,) = jobs_of(rows)
    assert (job.load, job.begun) == (3.0, [(10.0, 12.0), (12.0, 14.0)])


# used against requested


@pytest.mark.parametrize(
    "record", [{}, {"pipeline": 3}, {"pipeline": {"steps": [7, {"name": "t", "resources": "x"}]}}]
)
def test_a_strange_record_asks_for_nothing(record: dict[str, Any]) -> None:
    assert asked_of(record, "t") == Asked()


def test_use_is_set_against_what_was_asked_for() -> None:
    wants = {"cpu": 4, "memory_mb": [1024, 2048], "gpus": 2}
    record = {"pipeline": {"steps": [{"name": "t", "resources": wants}]}}
    used = [
        Usage("t", "d", 2, 10.0, {"memory_mb": Use(5, 100), "cores": Use(1.0, 2.0)}),
        Usage("t", "e", 2, 30.0, {"memory_mb": Use(5, 300), "cores": Use(2.0, 2.0)}),
    ]
    job = Job("t", "d", "n", load=2, ended=10, begun=[(2, 10)])
    rows = [one(tokens=80, tries=[attempt(step="t")])]
    (use,) = uses_of(["t"], [job], rows, used, record)
    assert use.asked == Asked(4, 2048, 2)
    assert (use.memory_mb, use.cores) == (300, 1.75)  # the mean is weighted by time
    assert (use.tokens_per_s, use.gpu_seconds) == (10, 20)


def step(**values: Any) -> StepUse:
    known = {"step": "t", "jobs": 5, "items": 9, "load": 1, "work": 99, "idle": 0}
    return StepUse(**{**known, "tokens_per_s": None, "asked": Asked(), **values})


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (step(asked=Asked(memory_mb=8192), memory_mb=1000), "1,280 MB would do"),
        (step(asked=Asked(memory_mb=1000), memory_mb=990), "1,216 MB would be safer"),
        (step(asked=Asked(cores=8), cores=1.5), "asks for 8 cores and kept 1.5 busy"),
        (step(load=60, work=40), "60 % of its time on loading"),
        (step(asked=Asked(gpus=1), gpu_percent=20), "20 % busy"),
    ],
)
def test_advice_has_the_numbers_it_rests_on(use: StepUse, said: str) -> None:
    (sentence,) = advice([use])
    assert said in sentence


@pytest.mark.parametrize(
    "use",
    [
        step(),
        step(asked=Asked(memory_mb=1000), memory_mb=800),
        step(asked=Asked(cores=1), cores=0.2),
        step(jobs=2, load=60, work=40),
    ],
)
def test_there_is_no_advice_without_reason(use: StepUse) -> None:
    assert list(advice([use])) == []


# the table of items


def test_of_very_many_items_the_interesting_ones_are_kept() -> None:
    rows = [one(item=f"i{n:05}", work_s=n % 977, scores={"bleu": float(n)}) for n in range(30_000)]
    rows += [one(item=f"x{n}", state="failed", kind="lost") for n in range(50)]
    chosen = choose(rows)
    kept = {row["item"] for row in chosen.rows}
    assert len(kept) < 3_000
    assert {f"x{n}" for n in range(50)} <= kept
    assert "i00000" in kept  # the lowest score
    assert max(row["work_s"] or 0 for row in chosen.rows) == 976
    assert f"{30_050 - len(kept):,} of 30,050 items are left out" in chosen.left_out


def test_as_many_as_the_page_can_have_are_all_there() -> None:
    chosen = choose([one()] * MOST_ITEMS)
    assert (len(chosen.rows), chosen.left_out) == (MOST_ITEMS, "")


def test_each_text_is_there_once() -> None:
    rows = [one(item="a", reason="same", node="n"), one(item="b", reason="same", node="n")]
    columns = columns_of(rows, [], lambda _folder: "")
    assert columns["reason"] == [columns["strings"].index("same")] * 2
    assert columns["kind"] == [-1, -1]
    assert len(columns["strings"]) == len(set(columns["strings"]))


def test_scores_that_are_all_equal_have_a_distribution() -> None:
    metric = metric_of(
        "bleu", [one(scores={"bleu": 5.0}), one(item="b", scores={"bleu": 5.0})], "", ()
    )
    assert metric.bins == ((4.5, 5.5, 2),)
    assert [low.item for low in metric.lowest] == ["a", "b"]


# the verdict


def inputs(history: History | None = None) -> Inputs:
    class Summary:
        batch = "b"
        is_foreign = False
        commands: ClassVar[dict[FailureKind, str]] = {}

    return Inputs(Summary(), [], {}, [], {}, None, Path(), 0.0, history)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("counts", "history", "sentence", "command"),
    [
        ([], None, "This batch has no items.", ""),
        ([("succeeded", 3)], None, "All done: 3 items succeeded.", ""),
        ([("succeeded", 1), ("early_exit", 1)], None, "none failed", ""),
        ([("succeeded", 1), ("failed", 2)], None, "1 of 3 items succeeded; 2 failed", "resubmit b"),
        ([("failed", 2)], None, "0 of 2 items succeeded; 2 failed", "resubmit b"),
        ([("succeeded", 1), ("running", 1)], History(driven_by="me"), "Running", "status b"),
        ([("succeeded", 1), ("queued", 1)], History(), "Interrupted at 50 %", "--resume"),
        ([("succeeded", 1), ("not_run", 3)], None, "Not finished, as of 1970-01-01", "status"),
        ([("not_run", 3)], None, "Nothing has run yet", "status b"),
    ],
)  # fmt: skip
def test_the_verdict_is_one_sentence_and_one_command(
    counts: list[tuple[str, int]], history: History | None, sentence: str, command: str
) -> None:
    found = verdict_of(inputs(history), counts)
    assert sentence in found.sentence
    assert command in found.command
    assert bool(command) == bool(found.command)
    assert sum(part.count for part in found.parts) == found.total


def test_the_verdict_sends_to_what_must_be_mended_first(tmp_path: Path) -> None:
    logs = LogBuilder(tmp_path / "logs")
    logs.fail("translate", "a", FailureKind.TIMEOUT, "too slow")
    logs.fail("translate", "b", FailureKind.MODEL_ERROR, "IndexError: 3")
    summary = local_reports(logs.root, run_list=None, report_dir=tmp_path / "report", batch=None)
    found = verdict_of(replace(inputs(), summary=summary), [("failed", 2)])
    assert found.command == "coordinator failures b --kind model_error"
    assert found.why.endswith("what to run once it is mended stands below")


# what stands between data and markup


@pytest.mark.parametrize("text", ["</script>", "<!--", "]]>&amp;", "a\u2028b\u2029"])
def test_json_for_a_script_has_nothing_that_ends_it(text: str) -> None:
    made = script_json({"k": text})
    assert not set("<>&\u2028\u2029") & set(made)
    assert json.loads(made) == {"k": text}


def test_the_payload_is_json_again() -> None:
    document = {"a": [1, None, "\u202e</script>"]}
    assert json.loads(gzip.decompress(base64.b64decode(packed(document)))) == document


def test_no_script_can_be_ended_from_inside() -> None:
    for script in (assets.charts_script(), assets.table_script(), assets.own("page.js")):
        assert "</script" not in script
        assert "<!--" not in script
        assert "\r" not in script


def test_the_scripts_agree_on_how_states_look() -> None:
    script = assets.own("page.js")
    for look in LOOKS:
        assert f'{look.name}: ["{look.shape}", "{look.tone}"]' in script


def test_links_lead_to_logs_and_nowhere_else(tmp_path: Path) -> None:
    links = Links.between(tmp_path / "local-reports" / "b", tmp_path / "logs #1")
    assert links is not None
    assert links.to("b/t/<d>/worker.stderr.0") == (
        "./../../logs%20%231/b/t/%3Cd%3E/worker.stderr.0"
    )
    assert [links.to(file) for file in ("../../etc/passwd", "/etc/passwd", "")] == [""] * 3


def test_names_that_are_no_text_are_linked_by_their_bytes(tmp_path: Path) -> None:
    links = Links.between(tmp_path, tmp_path / "caf\udce9")
    assert links is not None
    assert links.to("\udcff/log") == "./caf%E9/%FF/log"


# with the report


def test_a_page_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    logs = LogBuilder(tmp_path / "logs")
    secrets = {"api_token": "hunter2", "output_root": "s3://me:hunter3@there/x"}
    logs.submit("a", **secrets, pipeline={"my_secret": "hunter4", "name": "shown"})
    logs.through("a")
    report = tmp_path / "report"
    local_reports(logs.root, run_list=None, report_dir=report, batch=None)
    assert not (report / "report.html").exists()
    made = local_reports(
        logs.root, run_list=None, report_dir=report, batch=None, page=PageWish(time.time())
    )
    assert "report.html" in made.files
    text = (report / "report.html").read_text()
    assert "hunter" not in text
    assert "shown" in text


def test_there_is_no_link_to_a_copy_of_logs(tmp_path: Path) -> None:
    logs = LogBuilder(tmp_path / "copy")
    logs.submit("a")
    logs.fail("translate", "a", FailureKind.MODEL_ERROR, "no")
    report = tmp_path / "report"
    wish = PageWish(time.time())
    for address, count in (("", 1), ("s3://logs/b", 0)):
        local_reports(
            logs.root,
            run_list=None,
            report_dir=report,
            batch=None,
            page=wish,
            log_address=address,
        )
        links = (report / "report.html").read_text().count('rel="noopener">')
        assert links == count


def test_a_folder_whose_name_is_no_text_is_no_obstacle(tmp_path: Path) -> None:
    logs = LogBuilder(tmp_path / "logs", batch="b\udce9", steps=("t\udce9",))
    folder = logs.folder / "t\udce9" / "a\udce9"
    folder.mkdir(parents=True)
    (folder / "dispatch.json").write_text("{}")
    report = tmp_path / "report"
    made = local_reports(
        logs.root, run_list=None, report_dir=report, batch=None, page=PageWish(time.time())
    )
    assert made.page_problem == ""
    assert "dce9" in (report / "report.html").read_text("utf-8")


def test_without_its_libraries_the_rest_is_written_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = LogBuilder(tmp_path / "logs")
    logs.submit("a")
    logs.through("a")
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.html").write_text("of an earlier report")
    monkeypatch.setattr("coordinator.reports.html.page._LIBRARIES", {"no_such_module": "itables"})
    made = local_reports(
        logs.root, run_list=None, report_dir=report, batch=None, page=PageWish(time.time())
    )
    assert made.page_problem == "itables is not installed: pip install 'coordinator[report]'"
    assert (report / "summary.csv").exists()
    assert not (report / "report.html").exists()


def test_a_page_that_cannot_be_made_costs_nobody_the_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = LogBuilder(tmp_path / "logs")
    logs.submit("a")
    logs.through("a")
    monkeypatch.setattr("coordinator.reports.html.assets._EXPORT", re.compile("nowhere"))
    assets.table_script.cache_clear()
    report = tmp_path / "report"
    made = local_reports(
        logs.root, run_list=None, report_dir=report, batch=None, page=PageWish(time.time())
    )
    assets.table_script.cache_clear()
    assert "does not export jQuery" in made.page_problem
    assert "report.html" not in made.files
    assert (report / "summary.csv").exists()


def test_the_script_is_there_in_whole_when_the_cache_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assets.charts_script.cache_clear()
    made = assets.charts_script()
    (kept,) = (tmp_path / "coordinator" / "page").iterdir()
    assert kept.read_text() == made
    kept.write_text(made[: len(made) // 2])  # as after a full disk
    assets.charts_script.cache_clear()
    assert assets.charts_script() == made


def test_the_templates_trust_only_what_is_ours() -> None:
    """`safe` switches escaping off: for our style and the scripts alone."""
    folder = REPOSITORY / "coordinator" / "reports" / "html" / "templates"
    uses = [
        line.strip()
        for path in sorted(folder.glob("*.jinja"))
        for line in path.read_text().splitlines()
        if "safe" in line
    ]
    assert len(uses) == 2
    assert all(any(part in use for part in ("style|safe", "script|safe")) for use in uses)


def test_an_empty_report_has_every_section() -> None:
    from report_page import inputs_of

    text = page_html(inputs_of(0, 0, 1.0, Path("nowhere"))).decode()
    for title in ("Verdict", "Failures", "Progress", "Scores", "Resources", "Items", "Provenance"):
        assert f'id="{title.lower()}"' in text
