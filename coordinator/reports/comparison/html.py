"""A comparison as one page that needs no network and runs nothing."""

import base64
from collections.abc import Sequence
from pathlib import Path

from coordinator.domain.shown import for_terminal
from coordinator.errors import UsageError
from coordinator.reports.comparison.heatmap import heat_map
from coordinator.reports.comparison.result import Comparison
from coordinator.reports.comparison.sheets import Sheet

_TEMPLATE = Path(__file__).with_name("page.html.j2")


def html(found: Comparison, title: str, sheets: Sequence[Sheet], metric: str) -> str:
    """The page. `metric`: the one that the picture is of.

    Raises:
        UsageError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise UsageError(
            "a page cannot be written",
            why="jinja2 is not installed",
            hint="pip install 'coordinator[report]', or take --format markdown",
        ) from error
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["plain"] = for_terminal
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    picture = heat_map(found, metric)
    return template.render(
        title=title,
        sheets=sheets,
        metric=metric,
        picture=base64.b64encode(picture).decode() if picture else "",
    )
