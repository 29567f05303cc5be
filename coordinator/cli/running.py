"""A batch that is driven while somebody looks on, and what came of it."""

from collections.abc import Callable

from coordinator.cli.live import Display, watch_of
from coordinator.cli.output import Output
from coordinator.cli.show import driven_lines
from coordinator.commands.driving import Driven, Watch
from coordinator.errors import ExitCode


def drive_shown(output: Output, run: Callable[[Watch], Driven], *, unattended: bool = False) -> int:
    """Show the batch as it runs, then its results; the exit code."""
    with Display(output) as display:
        driven = run(watch_of(display))
    document = {"results": driven.results.to_json(), "halted": driven.halted}
    output.result(document, *driven_lines(driven))
    return int(ExitCode.OK if unattended and driven.is_settled else driven.exit_code)
