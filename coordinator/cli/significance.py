"""What `compare --significance` shows."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from coordinator.cli.live import Checking
from coordinator.cli.output import Output
from coordinator.clock import Clock
from coordinator.commands.reporting import Comparison
from coordinator.commands.significance import Significance, significance
from coordinator.domain.shown import for_terminal
from coordinator.metrics.significance import Method
from coordinator.reports.significance import LEVEL
from coordinator.settings import Settings

_SHOWN = 10  # items that could not be tested

Lines = list[Table | str]


def significance_shown(
    output: Output, settings: Settings, clock: Clock, found: Comparison, method: Method
) -> tuple[dict[str, Any], Lines]:
    """Test the items that both batches have; what a program is told, and what a person sees."""
    with Checking(output) as display:
        tests = significance(
            settings, found.a, found.b, found.common, method, clock, display.on_progress
        )
    verdicts = [{**asdict(test), "verdict": test.verdict} for test in tests.tests]
    return {**asdict(tests), "tests": verdicts}, list(_lines(tests))


def _lines(found: Significance) -> Iterator[Table | str]:
    """How often each metric's difference is more than chance; what could not be tested, and why."""
    yield f"paired {found.test}, p < {LEVEL:g} after correction for the number of items:"
    columns = ("metric", "items", "better", "worse", "unclear")
    table = Table(*columns, box=None, pad_edge=False)
    for metric in dict.fromkeys(test.metric for test in found.tests):
        verdicts = Counter(test.verdict for test in found.tests if test.metric == metric)
        counts = (verdicts.total(), *(verdicts[name] for name in columns[2:]))
        table.add_row(Text(for_terminal(metric)), *(f"{count:,}" for count in counts))
    yield table
    for each in found.untested[:_SHOWN]:
        yield f"not tested: {for_terminal(each.item)}: {for_terminal(each.reason)}"
    if (more := len(found.untested) - _SHOWN) > 0:
        yield f"and {more:,} more not tested; --json names them all"
