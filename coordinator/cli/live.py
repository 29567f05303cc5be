"""The batch as it runs: a small live display on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from coordinator.cli.output import Output
from coordinator.cli.words import clock_time, duration
from coordinator.domain.shown import for_terminal
from coordinator.engine import Recovery, Snapshot, StepProgress

_PLAIN_SECONDS = 30.0
_REDRAW_SECONDS = 0.2


class Display:
    """Shows snapshots. Used as a context manager around the run."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._live = _live(output)
        self._shown_at = -_PLAIN_SECONDS
        self._paused, self._trouble, self._kinds = "", "", 0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def on_tick(self, snapshot: Snapshot) -> None:
        now = time.monotonic()
        if self._live:
            if now - self._shown_at >= _REDRAW_SECONDS:
                self._live.update(rendered(snapshot), refresh=True)
                self._shown_at = now
            return
        changed = self._changes(snapshot)
        if changed or now - self._shown_at >= _PLAIN_SECONDS:
            self._output.say(f"{clock_time()}  {plain_line(snapshot)}{changed}")
            self._shown_at = now

    def on_signal(self, message: str) -> None:
        self._output.say(message)

    def on_recovery(self, recovery: Recovery) -> None:
        if recovery.adopted or recovery.sent_again:
            self._output.say(f"resumed: {recovery}")

    def _changes(self, snapshot: Snapshot) -> str:
        """What is worth a line at once: a pause, its end, an outage, a new kind of failure."""
        state = (snapshot.paused, snapshot.trouble, len(snapshot.failures))
        before = (self._paused, self._trouble, self._kinds)
        self._paused, self._trouble, self._kinds = state
        if (bool(state[0]), state[1], state[2]) == (bool(before[0]), before[1], before[2]):
            return ""
        return f"  {_news(snapshot) or 'going on'}"


class Checking:
    """Says how far the checks before a batch are; nothing at all when they are quick."""

    def __init__(self, output: Output) -> None:
        self._output, self._live = output, _live(output)
        self._began = self._said_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def on_progress(self, what: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        line = f"{what} {done:,}" + (f" of {total:,}" if total is not None else "")
        if self._live and now - self._said_at >= _REDRAW_SECONDS:
            self._live.update(Text(for_terminal(line)), refresh=True)
        elif self._live or now - self._said_at < _PLAIN_SECONDS / 10:
            return
        else:
            self._output.say(line)
        self._said_at = now


def _live(output: Output) -> Live | None:
    if output.as_json or not sys.stderr.isatty() or output.err.is_dumb_terminal:
        return None
    return Live(console=output.err, auto_refresh=False, transient=True)


def plain_line(snapshot: Snapshot) -> str:
    steps = ", ".join(
        f"{step.name} {_done(step):,}/{step.total:,}"
        + (f" ({step.failed:,} failed)" if step.failed else "")
        for step in snapshot.steps
    )
    eta = f", {duration(snapshot.eta)} left" if snapshot.eta is not None else ""
    rate = f", {snapshot.rate:.2g} items/s" if snapshot.rate else ""
    return f"{steps}, in flight {snapshot.tally.in_flight:,}{rate}{eta}"


def rendered(snapshot: Snapshot) -> RenderableType:
    """A line per step, one for the whole, and the reason whenever nothing moves."""
    grid = Table.grid(padding=(0, 2))
    for step in snapshot.steps:
        failed = Text(f"failed {step.failed:,}", style="red" if step.failed else "")
        grid.add_row(
            Text(step.name),
            ProgressBar(total=max(1, step.total), completed=_done(step), width=28),
            Text(f"{_done(step):,} / {step.total:,}", justify="right"),
            failed,
            Text(f"running {step.running - step.worked_off:,}"),
        )
    parts: list[RenderableType] = [Text(_headline(snapshot), style="bold"), grid]
    parts += [Text(line, style="yellow") for line in _news(snapshot).splitlines()]
    parts += [
        Text(f"! {t.count:,} x {t.kind}  {for_terminal(t.item)}: {for_terminal(t.reason)}"[:200])
        for t in snapshot.failures[-3:]
    ]
    return Group(*parts)


def _done(step: StepProgress) -> int:
    return step.done + step.worked_off


def _headline(snapshot: Snapshot) -> str:
    rate = f"{snapshot.rate:.3g} items/s" if snapshot.rate else "no rate yet"
    eta = f"{duration(snapshot.eta)} left" if snapshot.eta is not None else "no estimate yet"
    return (
        f"{snapshot.batch}  {snapshot.finished:,} of {snapshot.tally.total:,} finished"
        f"  {duration(snapshot.elapsed)}  in flight {snapshot.tally.in_flight:,}"
        f" (stop {snapshot.stop_at:,}, resume {snapshot.resume_at:,})  {rate}  {eta}"
    )


def _news(snapshot: Snapshot) -> str:
    lines = []
    if snapshot.draining:
        lines.append("stopping: waiting for what runs")
    if snapshot.trouble:
        lines.append(f"waiting: {for_terminal(snapshot.trouble)}; nothing is lost, it tries again")
    if snapshot.paused:
        lines.append(f"paused: {snapshot.paused}")
    return "\n".join(lines)
