"""The batch as it runs: a small live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.columns import Columns
from rich.console import RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from coordinator.cli.output import Output
from coordinator.cli.picture import done_of, is_asked, news_of, picture
from coordinator.cli.show import go_on
from coordinator.cli.tab import Tab
from coordinator.cli.words import clock_time, duration, plural
from coordinator.domain.shown import for_terminal

if TYPE_CHECKING:
    from coordinator.commands.driving import Watch
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
        self._stop()

    def _stop(self) -> None:
        if self._live:
            with suppress(OSError):
                self._live.stop()

    def _draw(self, picture: RenderableType) -> None:
        if self._live:
            with suppress(OSError):
                self._live.update(picture, refresh=True)


class Lines:
    """A line now and then, and at once when something is new: where there is no terminal."""

    def __init__(self, say: Callable[[str], None], seconds: float) -> None:
        self._say, self._seconds = say, seconds
        self._shown_at = -math.inf
        self._state = (str(False), "", False)
        self._kinds: set[str] = set()

    def take(self, snapshot: Snapshot) -> None:
        now, changed = time.monotonic(), self._changes(snapshot)
        if changed or now - self._shown_at >= self._seconds:
            self._say(f"{clock_time()}  {plain_line(snapshot)}{changed}")
            self._shown_at = now

    def _changes(self, snapshot: Snapshot) -> str:
        """What is worth a line at once: a pause, its end, an outage, a new kind of failure."""
        pause = snapshot.paused if is_asked(snapshot) else bool(snapshot.paused)
        state = (str(pause), snapshot.trouble, snapshot.draining)
        before, self._state = self._state, state
        new = [trouble for trouble in snapshot.failures if trouble.kind not in self._kinds]
        self._kinds.update(trouble.kind for trouble in new)
        news = [] if state == before else news_of(snapshot) or ["going on"]
        news += [f"first {t.kind}: {t.item}: {t.reason}" for t in new]
        return "".join(f"  {line}" for line in news)


class Display(_OnTerminal):
    """Shows snapshots. Used as a context manager around the run."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._drawn_at = -math.inf
        self._tab = Tab(sys.stderr)
        self._lines = Lines(output.say, _PLAIN_SECONDS)

    def _stop(self) -> None:
        self._tab.close()
        super()._stop()

    def on_tick(self, snapshot: Snapshot) -> None:
        if not self._live:
            self._lines.take(snapshot)
        elif time.monotonic() - self._drawn_at >= _REDRAW_SECONDS:
            self._draw(picture(snapshot, self._output.err))
            self._tab.show(snapshot)
            self._drawn_at = time.monotonic()

    def on_signal(self, message: str) -> None:
        self._output.say(message)

    def on_recovery(self, recovery: Recovery) -> None:
        if recovery.adopted or recovery.sent_again:
            self._output.say(f"resumed: {recovery}")

    def on_left(self, batch: str) -> None:
        """The process ends right now: what the batch waited for did not answer."""
        self._stop()
        why = "left without waiting for an answer; what runs runs on"
        self._output.result({"batch": batch, "halted": why}, f"  {why}", f"  {go_on(batch)}")


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
    from coordinator.commands.driving import Watch

    return Watch(display.on_tick, display.on_signal, display.on_recovery, display.on_left)


def _live(output: Output) -> Live | None:
    if output.as_json or not sys.stderr.isatty() or output.err.is_dumb_terminal:
        return None
    return Live(console=output.err, auto_refresh=False, transient=True)


def plain_line(snapshot: Snapshot) -> str:
    steps = ", ".join(
        f"{step.name} {done_of(step):,}/{step.total:,}{_out(step)}"
        + (f" ({step.failed:,} failed)" if step.failed else "")
        for step in snapshot.steps
    )
    eta = f", {duration(snapshot.eta)} left" if snapshot.eta is not None else ""
    rate = f", {snapshot.rate:.2g} items/s" if snapshot.rate else ""
    return f"{steps}, in flight {snapshot.tally.in_flight:,}{rate}{eta}"


def _out(step: StepProgress) -> str:
    """What of a step is under way: packs that are out, and items that wait for one."""
    parts = [f"{plural(step.out, 'pack')} out"] if step.out else []
    parts += [f"{step.ready:,} ready"] if step.ready else []
    return f" [{', '.join(parts)}]" if parts else ""
