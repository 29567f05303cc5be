"""The batch as it runs: a small live display on a terminal, plain lines elsewhere."""

import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from coordinator.cli.output import Output
from coordinator.cli.show import go_on
from coordinator.cli.words import clock_time, duration, plural
from coordinator.commands.driving import Watch
from coordinator.domain.shown import for_terminal
from coordinator.engine import Recovery, Snapshot, StepProgress

_PLAIN_SECONDS = 30.0
_REDRAW_SECONDS = 0.2


class _OnTerminal:
    """What is drawn anew in place, where there is a terminal. One that was closed stops nothing."""

    def __init__(self, output: Output) -> None:
        self._output, self._live = output, _live(output)

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
            with suppress(OSError):
                self._live.stop()

    def _draw(self, picture: RenderableType) -> None:
        if self._live:
            with suppress(OSError):
                self._live.update(picture, refresh=True)


class Display(_OnTerminal):
    """Shows snapshots. Used as a context manager around the run."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._shown_at = -_PLAIN_SECONDS
        self._state, self._kinds = (str(False), "", False), 0

    def on_tick(self, snapshot: Snapshot) -> None:
        now = time.monotonic()
        if self._live:
            if now - self._shown_at >= _REDRAW_SECONDS:
                self._draw(rendered(snapshot))
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

    def on_left(self, batch: str) -> None:
        """The process ends right now: what the batch waited for did not answer."""
        self.__exit__(None, None, None)
        why = "left without waiting for an answer; what runs runs on"
        self._output.result({"batch": batch, "halted": why}, f"  {why}", f"  {go_on(batch)}")

    def _changes(self, snapshot: Snapshot) -> str:
        """What is worth a line at once: a pause, its end, an outage, a new kind of failure."""
        pause = snapshot.paused if _is_asked(snapshot) else bool(snapshot.paused)
        state = (str(pause), snapshot.trouble, snapshot.draining)
        before, self._state = self._state, state
        new, self._kinds = snapshot.failures[self._kinds :], len(snapshot.failures)
        news = [] if state == before else _news(snapshot) or ["going on"]
        news += [f"first {t.kind}: {t.item}: {t.reason}" for t in new]
        return "".join(f"  {line}" for line in news)


class Checking(_OnTerminal):
    """Says how far the checks before a batch are; nothing at all when they are quick."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._began = self._said_at = time.monotonic()

    def on_progress(self, what: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        line = f"{what} {done:,}" + (f" of {total:,}" if total is not None else "")
        if self._live and now - self._said_at >= _REDRAW_SECONDS:
            self._draw(Text(for_terminal(line)))
        elif self._live or now - self._said_at < _PLAIN_SECONDS / 10:
            return
        else:
            self._output.say(line)
        self._said_at = now


class Scoring(_OnTerminal):
    """Says how far a scoring is: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._began = self._said_at = time.monotonic()

    def on_progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        pause = _REDRAW_SECONDS if self._live else _PLAIN_SECONDS / 3
        if not 0 < done < total or now - self._said_at < pause:
            return
        self._said_at = now
        left = duration((now - self._began) / done * (total - done))
        text = f"{done:,} of {total:,} directions, {left} left"
        if self._live:
            bar = ProgressBar(total=max(1, total), completed=done, width=28)
            self._draw(Columns([bar, Text(text)]))
        else:
            self._output.say(text)


def watch_of(display: Display) -> Watch:
    return Watch(display.on_tick, display.on_signal, display.on_recovery, display.on_left)


def _live(output: Output) -> Live | None:
    if output.as_json or not sys.stderr.isatty() or output.err.is_dumb_terminal:
        return None
    return Live(console=output.err, auto_refresh=False, transient=True)


def plain_line(snapshot: Snapshot) -> str:
    steps = ", ".join(
        f"{step.name} {_done(step):,}/{step.total:,}{_out(step)}"
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
            Text(f"running {step.running - step.worked_off:,} in {plural(step.out, 'pack')}"),
            Text(f"ready {step.ready:,}"),
        )
    parts: list[RenderableType] = [Text(_headline(snapshot), style="bold"), grid]
    parts += [Text(line, style="yellow") for line in _news(snapshot)]
    parts += [
        Text(f"! {t.count:,} x {t.kind}  {for_terminal(t.item)}: {for_terminal(t.reason)}"[:200])
        for t in snapshot.failures[-3:]
    ]
    return Group(*parts)


def _out(step: StepProgress) -> str:
    """What of a step is under way: packs that are out, and items that wait for one."""
    parts = [f"{plural(step.out, 'pack')} out"] if step.out else []
    parts += [f"{step.ready:,} ready"] if step.ready else []
    return f" [{', '.join(parts)}]" if parts else ""


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


def _is_asked(snapshot: Snapshot) -> bool:
    """Whether somebody paused it, who is named then; its numbers change no such pause."""
    return snapshot.paused.startswith("paused ")


def _news(snapshot: Snapshot) -> list[str]:
    """Why nothing new is started, or nothing moves."""
    lines = []
    if snapshot.draining:
        why = f"{for_terminal(snapshot.halted)}; " if snapshot.halted else ""
        lines.append(f"stopping: {why}waiting for what runs")
    if snapshot.trouble:
        lines.append(f"waiting: {for_terminal(snapshot.trouble)}; nothing is lost, it tries again")
    if snapshot.paused and not snapshot.halted:
        text = snapshot.paused if _is_asked(snapshot) else f"paused: {snapshot.paused}"
        lines.append(for_terminal(text))
    return lines
