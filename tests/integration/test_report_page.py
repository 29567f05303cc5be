"""report.html in a real browser: it asks for nothing, and nothing runs in it but its own."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from report_page import inputs_of

from coordinator.domain.handoff import Failure
from coordinator.domain.states import FailureKind
from coordinator.domain.verdicts import Ending
from coordinator.reports import PageWish, local_reports
from coordinator.reports.html import page_html
from tests.log_trees import LogBuilder, outcome
from tests.support import require_program

MIB = 2**20
RUN = "</script><img src=x onerror=window.ran=1>"
HOSTILE = (
    RUN,
    "<!--<script>window.ran=1</script>",
    "\"'><svg onload=window.ran=1>",
    "=cmd|'/c calc'!A1",
    "\x1b[31mred\x1b[0m \u202etxt.exe\u2028end",
    "{{ 7 * 7 }} ${window.ran=1} javascript:window.ran=1",
)
# Whatever can be an item's id; markup cannot.
IDS = ("a=cmd+1,2", "s@sum~1", "a:b,c", "n+1-1", "\u0645\u062b\u0627\u0644", "x.y=z@q")
BATCHES = {  # items, how many failed, the share that is over
    "green": (240, 0, 1.0),
    "failed": (1_200, 300, 1.0),
    "running": (240, 12, 0.61),
    "empty": (0, 0, 1.0),
}
ALL_DIRECTIONS = {"all": (10_100, 300, 1.0)}


@dataclass
class Opened:
    """A page in a tab, with all that it asked for and complained of."""

    tab: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, file: Path) -> None:
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.tab.goto(file.as_uri())
        self.tab.wait_for_selector("html[data-charts=ready]", timeout=60_000)

    def check(self, file: Path) -> None:
        assert self.requests == [file.as_uri()]
        assert self.complaints == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = require_program("chromium")
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """A tab; its options may be given as the fixture's parameter."""
    tab = browser.new_page(**getattr(request, "param", {}))
    yield Opened(tab)
    tab.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Batch -> its page, written once."""
    folder = tmp_path_factory.mktemp("pages")

    @cache
    def page(name: str) -> Path:
        items, failed, share = (BATCHES | ALL_DIRECTIONS)[name]
        file = folder / f"{name}.html"
        file.write_bytes(page_html(inputs_of(items, failed, share, folder)))
        return file

    return page


def reported(logs: LogBuilder, report: Path) -> Path:
    local_reports(
        logs.root, run_list=None, report_dir=report, batch=None, page=PageWish(time.time())
    )
    return report / "report.html"


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("opened", [{"color_scheme": "light"}, {"color_scheme": "dark"}],
                         indirect=True, ids=["light", "dark"])  # fmt: skip
def test_it_asks_for_nothing_and_anyone_can_use_it(opened: Opened, pages: Any, batch: str) -> None:
    opened.open(pages(batch))
    found = Axe().run(opened.tab).response["violations"]
    grave = [
        (v["id"], v["nodes"][0]["html"][:200])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert grave == []
    opened.check(pages(batch))


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_scrolls_sideways_only_inside_of_tables(
    opened: Opened, pages: Any, batch: str, width: int
) -> None:
    opened.tab.set_viewport_size({"width": width, "height": 800})
    opened.open(pages(batch))
    assert opened.tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("batch", BATCHES)
def test_paper_is_wide_enough(opened: Opened, pages: Any, batch: str) -> None:
    opened.tab.set_viewport_size({"width": 720, "height": 1000})  # A4 without its margins
    opened.open(pages(batch))
    opened.tab.emulate_media(media="print")
    assert opened.tab.evaluate("document.documentElement.scrollWidth") <= 720


def test_the_largest_page_of_all_directions_is_small(pages: Any) -> None:
    assert pages("all").stat().st_size < 3 * MIB


def test_a_very_large_batch_says_what_is_left_out(opened: Opened, tmp_path: Path) -> None:
    file = tmp_path / "large.html"
    file.write_bytes(page_html(inputs_of(25_000, 300, 1.0, tmp_path)))
    assert file.stat().st_size < 8 * MIB
    opened.open(file)
    said = opened.tab.locator("#items .warning").inner_text()
    assert "of 25,000 items are left out" in said
    assert "300 of the 300 that went wrong" in said
    assert "25,000" in opened.tab.locator("#verdict tfoot").inner_text()


@pytest.mark.alone
def test_it_is_there_and_searched_at_once(opened: Opened, pages: Any) -> None:
    opened.open(pages("all"))
    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    assert opened.tab.evaluate(paint) < 1500
    seconds = opened.tab.evaluate(
        """() => {
            const table = window.jQuery.fn.dataTable.Api("#items-table");
            const began = performance.now();
            table.search("l42x").draw();
            document.body.offsetHeight;
            return (performance.now() - began) / 1000;
        }"""
    )
    assert seconds < 0.2
    assert "of 10,100" in opened.tab.locator(".dt-info").inner_text()


@pytest.mark.parametrize("opened", [{"java_script_enabled": False}], indirect=True)
def test_without_scripts_the_questions_are_answered(opened: Opened, pages: Any) -> None:
    opened.tab.goto(pages("all").as_uri())
    text = opened.tab.locator("main").inner_text()
    assert "9,780 of 10,100 items succeeded; 300 failed" in text
    assert "coordinator resubmit corpus" in text
    assert "out_of_memory" in text
    assert "nllb-3.3b" in opened.tab.locator("#provenance").inner_text()
    assert "This picture takes JavaScript" in opened.tab.locator("#progress").inner_text()
    assert "takes JavaScript" in opened.tab.locator("#items").inner_text()


def test_items_are_filtered_and_unfolded(opened: Opened, tmp_path: Path) -> None:
    logs = LogBuilder(tmp_path / "logs")
    logs.submit("good", "bad", "never")
    logs.crash("translate", "good", "", exit_code=137)
    logs.through("good")
    logs.fail("translate", "bad", FailureKind.MODEL_ERROR, "no such token")
    file = reported(logs, tmp_path / "report")
    opened.open(file)
    rows = opened.tab.locator("#items-table > tbody > tr")
    assert rows.count() == 3
    opened.tab.locator("#filters button", has_text="failed").click()
    assert rows.count() == 1
    assert "no such token" in rows.inner_text()
    opened.tab.locator("#filters button", has_text="all").click()
    opened.tab.get_by_label("Search").fill("good")
    opened.tab.get_by_label("Attempts of good").click()
    attempts = opened.tab.locator(".attempts tbody tr")
    assert attempts.count() == 3
    assert "out_of_memory" in attempts.nth(0).inner_text()
    link = attempts.nth(0).locator("a")
    assert link.get_attribute("rel") == "noopener"
    leads_to = opened.tab.evaluate("a => a.href", link.element_handle())
    assert Path(leads_to.removeprefix("file://")).is_file()


def test_every_chart_has_a_table(opened: Opened, pages: Any) -> None:
    opened.open(pages("all"))
    for figure in opened.tab.locator("figure:visible").all():
        assert figure.locator("svg, canvas").count() == 1
        figure.get_by_role("button", name="Show as table").click()
        assert figure.locator("table tbody tr").count() > 1
    heat = opened.tab.locator("#chart-heat table")
    assert heat.locator("tbody tr").count() == heat.locator("thead th").count() - 1 == 101


def hostile_logs(root: Path) -> LogBuilder:
    """A tree in which every text that can be hostile is."""
    logs = LogBuilder(root, steps=("translate", "score"))
    logs.submit(*IDS, model=RUN, limited=RUN, version=RUN, pipeline={"name": RUN, "steps": [RUN]},
                skipped=[{"id": IDS[0], "reason": RUN}])  # fmt: skip
    for number, (item, text) in enumerate(zip(IDS[:-1], HOSTILE, strict=False)):
        languages = [text[:60], f"{number}{RUN}"]
        if number % 2:
            scores, signatures = {text: 12.5, "bleu": 3.0}, {text: RUN, "bleu": RUN}
            facts = {"languages": languages, "scores": scores, "signatures": signatures}
            logs.through(item, **facts, suspicious=_suspicious(text))
        else:
            failure = Failure(kind=FailureKind.MODEL_ERROR, message=text)
            made = outcome(failure=failure, facts={"languages": languages})
            logs.dispatch("translate", item, outcomes={item: made}, ending=Ending(exit_code=70))
    logs.crash("translate", IDS[-1], "\n".join(["Traceback", *HOSTILE, f"ValueError: {RUN}"]))
    for record in logs.root.rglob("dispatch.json"):
        document = json.loads(record.read_text()) | {"node": RUN}
        record.write_text(json.dumps(document))
    strange = logs.folder / "translate" / "<img src=x onerror=window.ran=1>"
    strange.mkdir()
    (strange / "dispatch.json").write_text("{}")
    (strange / "worker.stderr.0").write_text(RUN)
    return logs


def _suspicious(text: str) -> dict[str, Any]:
    return {"sentences": 3, "empty": 1, "flags": [text]}


def test_nothing_hostile_runs_or_becomes_an_element(opened: Opened, tmp_path: Path) -> None:
    file = reported(hostile_logs(tmp_path / RUN.replace("/", "_")), tmp_path / "report <img> #%")
    opened.open(file)
    tab = opened.tab
    for details in tab.locator("details").all():
        details.evaluate("part => { part.open = true; }")
    tab.wait_for_timeout(500)
    for button in tab.locator("button.as-table:visible, #items td button").all():
        button.click()
    choice = tab.locator("#metric")
    assert choice.locator("option").count() > 2
    for place in range(choice.locator("option").count()):
        choice.select_option(index=place)
    for plot in tab.locator(".plot:visible").all():
        plot.hover()
    tab.wait_for_timeout(300)
    assert tab.evaluate("window.ran") is None
    assert tab.locator("img, iframe, object, embed, base, form, svg[onload]").count() == 0
    assert tab.locator("script").count() == 3  # the payload is removed once it is read
    assert tab.evaluate("[...document.querySelectorAll('*')].every(e => "
                        "[...e.attributes].every(a => !a.name.startsWith('on')))")  # fmt: skip
    assert all(
        href.startswith(("#", "./"))
        for href in tab.eval_on_selector_all("a", "all => all.map(a => a.getAttribute('href'))")
    )
    opened.check(file)


def test_what_would_not_be_seen_is_written_out(tmp_path: Path) -> None:
    text = reported(hostile_logs(tmp_path / "logs"), tmp_path / "report").read_text()
    assert not set("\x1b\u202e\u2028") & set(text.partition("<body>")[2].partition("<script")[0])


def test_a_file_that_was_made_to_do_more_is_held_by_the_policy(
    opened: Opened, pages: Any, tmp_path: Path
) -> None:
    """The second wall: markup that got in against all odds does not run."""
    file = tmp_path / "tampered.html"
    text = pages("empty").read_text()
    bad = "<script>window.ran=1</script><img src=x onerror=window.ran=1><img src=http://127.0.0.1/>"
    file.write_text(text.replace("<main", f"{bad}<main"))
    opened.tab.goto(file.as_uri())
    opened.tab.wait_for_selector("html[data-charts=ready]")
    assert opened.tab.evaluate("window.ran") is None
