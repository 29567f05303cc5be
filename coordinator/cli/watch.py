"""`status --watch`: how a batch stands, drawn anew in place, or as lines."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from rich.live import Live
from rich.text import Text

from coordinator.cli.live import Lines
from coordinator.cli.output import Output
from coordinator.cli.picture import picture
from coordinator.cli.show import outcome_lines, resume_command
from coordinator.cli.tab import Tab
from coordinator.cli.words import clock_time
from coordinator.clock import Clock
from coordinator.commands.exits import Exit
from coordinator.commands.record import record_of
from coordinator.commands.results import results_of
from coordinator.commands.status import open_ledger
from coordinator.commands.watching import Seen, Watcher
from coordinator.domain.shown import for_terminal
from coordinator.errors import ExitCode, UsageError
from coordinator.settings import Settings

_SECONDS = 2.0
_PLAIN_SECONDS = 60.0


def watch_batch(
    output: Output, settings: Settings, batch: str, clock: Clock, exits: Sequence[Exit]
) -> int:
    """Look every two seconds until a condition holds, the batch is finished, or Ctrl-C.

    Returns:
        The exit code of the first condition that held; 0 where the batch was finished before.
    """
    if output.as_json:
        raise UsageError(
            "--watch is for a person, --json for a program",
            hint="leave out one; a program asks for the status as often as it likes",
        )
    looks = _looks(Watcher(settings, batch, clock), exits)
    on_terminal = output.out.is_terminal and not output.out.is_dumb_terminal
    try:
        last = (_in_place if on_terminal else _in_lines)(output, looks)
    except KeyboardInterrupt:
        output.say(f"{batch} goes on as it was; look again: coordinator status {batch} --watch")
        return ExitCode.INTERRUPTED
    with closing(open_ledger(settings, batch, clock)) as ledger:
        for line in outcome_lines(results_of(ledger, record_of(ledger))):
            _print(output, line)
    return next((condition.code for condition in exits if condition.holds(last)), ExitCode.OK)


def _looks(watcher: Watcher, exits: Sequence[Exit]) -> Iterator[Seen]:
    """One at least; the last is the one at which the watch ends."""
    while True:
        seen = watcher.look()
        yield seen
        if seen.is_finished or any(condition.holds(seen) for condition in exits):
            return
        time.sleep(_SECONDS)


def _in_place(output: Output, looks: Iterator[Seen]) -> Seen:
    live = Live(console=output.out, auto_refresh=False, transient=True)
    with closing(Tab(sys.stdout)) as tab, live:
        for seen in looks:
            drawn = picture(seen.snapshot, output.out, state_of(seen), notes_on(seen))
            live.update(drawn, refresh=True)
            tab.show(seen.snapshot, is_driven=seen.is_finished or bool(seen.driven_by))
    return seen


def _in_lines(output: Output, looks: Iterator[Seen]) -> Seen:
    """A line a minute, and at every pause and every new kind of failure: a log keeps them all."""
    lines, told = Lines(lambda line: _print(output, line), _PLAIN_SECONDS), ""
    for seen in looks:
        if not seen.is_finished:  # its results say all
            lines.take(seen.snapshot)
            note = "  ".join(notes_on(seen))
            if note != told:
                _print(output, f"{clock_time()}  {note or 'it is driven again'}")
            told = note
    return seen


def _print(output: Output, line: str) -> None:
    output.out.print(Text(for_terminal(line)))


def state_of(seen: Seen) -> str:
    """A word about the batch as a whole."""
    if seen.is_finished:
        return "finished"
    if not seen.driven_by:
        return "not driven"
    return "paused" if seen.snapshot.paused or seen.snapshot.trouble else "running"


def notes_on(seen: Seen) -> tuple[str, ...]:
    """What would help, where nothing moves for want of a driver."""
    if seen.is_finished or seen.driven_by:
        return ()
    return (f"nobody drives it; go on with: {resume_command(seen.snapshot.batch)}",)
