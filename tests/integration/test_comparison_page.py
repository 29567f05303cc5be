"""The page of a comparison in a browser: nothing runs, nothing is asked for, anyone can read it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, sync_playwright

from coordinator.reports.comparison.markup import markup
from coordinator.reports.comparison.sheets import Extent
from tests.comparisons import hostile
from tests.support import require_program

LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    {"color_scheme": "dark", "viewport": {"width": 390, "height": 800}},
    {"color_scheme": "light", "viewport": {"width": 320, "height": 800}},
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = require_program("chromium")
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.mark.parametrize("look", LOOKS, ids=["wide", "dark phone", "small phone"])
def test_hostile_text_is_text_and_can_be_read(
    browser: Browser, tmp_path: Path, look: dict[str, Any]
) -> None:
    file = tmp_path / "compared.html"
    file.write_text(markup(hostile(), "html", Extent(wide=True)))
    tab = browser.new_page(**look)
    asked: list[str] = []
    complaints: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("dialog", lambda dialog: complaints.append(dialog.message))
    tab.goto(file.as_uri())
    assert [url for url in asked if not url.startswith("data:image/svg+xml")] == [file.as_uri()]
    assert complaints == []
    assert tab.locator("img").evaluate("image => image.naturalWidth") > 100, "it is drawn"
    width = look["viewport"]["width"]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(tab).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    tab.close()
