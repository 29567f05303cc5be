"""`status --watch`: how a batch stands, shown anew in place, or a line for each change."""

import time
from collections.abc import Callable, Iterator

from rich.console import Group
from rich.live import Live
from rich.text import Text

from coordinator.cli.output import Output
from coordinator.cli.show import counts_line, status_lines
from coordinator.cli.words import clock_time
from coordinator.commands.status import Status
from coordinator.domain.shown import for_terminal
from coordinator.errors import ExitCode, UsageError

_SECONDS = 2.0

Look = Callable[[], Status]


def watch_batch(output: Output, look: Look, failed: bool) -> int:
    """Look every two seconds until the batch is finished, or Ctrl-C."""
    if output.as_json:
        raise UsageError(
            "--watch is for a person, --json for a program",
            hint="leave out one; a program asks for the status as often as it likes",
        )
    on_terminal = output.out.is_terminal and not output.out.is_dumb_terminal
    show = _in_place if on_terminal else _in_lines
    try:
        show(output, _looks(look), failed)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.OK


def _looks(look: Look) -> Iterator[Status]:
    while True:
        status = look()
        yield status
        if status.results.is_finished:
            return
        time.sleep(_SECONDS)


def _in_place(output: Output, looks: Iterator[Status], failed: bool) -> None:
    with Live(console=output.out, auto_refresh=False) as live:
        for status in looks:
            lines = status_lines(status, failed=failed)
            parts = [Text(line) if isinstance(line, str) else line for line in lines]
            live.update(Group(*parts), refresh=True)


def _in_lines(output: Output, looks: Iterator[Status], failed: bool) -> None:
    """A line for each change: a log keeps what it was given."""
    before = ""
    for status in looks:
        line = "  ".join(filter(None, (counts_line(status.results), for_terminal(status.held))))
        if line != before:
            output.out.print(Text(f"{clock_time()}  {line}"))
        before = line
