"""A batch as a few lines that fit a terminal: for whoever drives it and for whoever watches."""

import time
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, Group
from rich.text import Text

from coordinator.cli.words import duration, plural
from coordinator.domain.shown import for_terminal
from coordinator.domain.states import ItemState
from coordinator.engine import Snapshot, StepProgress, Trouble

_WIDEST_BAR, _NARROWEST_BAR = 28, 8
_SHOWN_KINDS = 3
# In the order of a reader's questions; together they are all items.
_WORDS = {
    ItemState.SUCCEEDED: "succeeded",
    ItemState.NO_DATA: "without data",
    ItemState.FAILED: "failed",
    ItemState.STOPPED: "stopped",
    ItemState.SKIPPED: "skipped",
    ItemState.IN_FLIGHT: "in flight",
    ItemState.WAITING: "waiting",
}


def picture(
    snapshot: Snapshot, console: Console, state: str = "running", notes: Sequence[str] = ()
) -> Group:
    """All of it, no wider and no higher than the console.

    Args:
        snapshot: where the batch stands.
        console: what it is shown on.
        state: a word about the batch as a whole.
        notes: what else is to be said, a line each.
    """
    width, height = console.width, max(4, console.height - 1)
    is_plain = not console.encoding.lower().startswith("utf")
    said = [*notes, *news_of(snapshot)]
    return Group(*_lines(snapshot, state, said, width, height, is_plain=is_plain))


def _lines(
    snapshot: Snapshot, state: str, said: Sequence[str], width: int, height: int, *, is_plain: bool
) -> list[Text]:
    counts = [Text(line) for line in _folded(_counts(snapshot), width, "  ")]
    news = [Text(line, style="yellow") for line in said]
    room = height - 1 - len(counts) - len(news)  # steps come before failures, but for one
    steps = list(_steps(snapshot.steps, width, room - bool(snapshot.failures), is_plain=is_plain))
    kinds = snapshot.failures[-max(1, min(_SHOWN_KINDS, room - len(steps))) :]
    failures = [Text(line, style="red") for line in map(_failure, kinds)]
    lines = [Text(_head(snapshot, state, width), style="bold"), *steps, *counts, *news, *failures]
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return lines[:height]


def _head(snapshot: Snapshot, state: str, width: int) -> str:
    parts = [
        f"{snapshot.batch}  {state} {duration(max(0.0, snapshot.elapsed))}",
        eta_text(snapshot),
        f"in flight {snapshot.tally.in_flight:,}",
        f"(stop {snapshot.stop_at:,}, resume {snapshot.resume_at:,})",
    ]
    return next(_folded(parts, width, ""))


def eta_text(snapshot: Snapshot) -> str:
    """`ETA 17:40 (17:25-18:10)`: by the last minutes, and between that and a longer time."""
    if snapshot.eta is None:
        return ""
    soon, late = snapshot.etas or (snapshot.eta, snapshot.eta)
    likely, first, last = (_clock(seconds) for seconds in (snapshot.eta, soon, late))
    return f"ETA {likely}" + (f" ({first}-{last})" if first != last else "")


def _clock(seconds: float) -> str:
    """The time of the day in so many seconds, with the date where that is not today."""
    then = time.localtime(time.time() + min(seconds, 1e9))
    is_today = time.strftime("%Y%m%d", then) == time.strftime("%Y%m%d")
    return time.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M", then)


def _steps(
    steps: Sequence[StepProgress], width: int, room: int, *, is_plain: bool
) -> Iterator[Text]:
    """At least a line for one; what has no room is counted."""
    shown = steps if len(steps) <= room else steps[: max(1, room - 1)]
    longest = max((len(step.name) for step in shown), default=0)
    cells = [_cells(step) for step in shown]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    others = longest + sum(2 + wide for wide in widths) + 4
    bar = min(_WIDEST_BAR, max(_NARROWEST_BAR, width - others))
    for step, row in zip(shown, cells, strict=True):
        parts = [f"  {step.name:<{longest}}", _bar(step, bar, is_plain=is_plain)]
        parts += [cell.rjust(wide) for cell, wide in zip(row, widths, strict=True)]
        yield Text(next(_folded(parts, width, "")).rstrip())
    if len(shown) < len(steps):
        yield Text(f"  and {plural(len(steps) - len(shown), 'more step')}")


def _cells(step: StepProgress) -> tuple[str, ...]:
    """What is said of a step, the most wanted first: what does not fit is left out."""
    done = done_of(step)
    share = f"{int(100 * done / step.total) if step.total else 100} %"
    out = f"running {step.running - step.worked_off:,} in {plural(step.out, 'pack')}"
    return (
        f"{done:,}/{step.total:,}",
        share,
        rate_text(step.rate),
        f"failed {step.failed:,}",
        out,
        f"ready {step.ready:,}",
    )


def rate_text(rate: float) -> str:
    """`41.2 items/min`, or as many a second where that is more than a few; "" = not known."""
    if not rate:
        return ""
    return f"{rate:,.3g} items/s" if rate >= 10 else f"{rate * 60:,.3g} items/min"


def _bar(step: StepProgress, width: int, *, is_plain: bool) -> str:
    filled = width * done_of(step) // max(1, step.total)
    full, empty = ("#", "-") if is_plain else ("█", "░")
    return full * filled + empty * (width - filled)


def done_of(step: StepProgress) -> int:
    return step.done + step.worked_off


def _counts(snapshot: Snapshot) -> list[str]:
    """Parts that add up to the item list, and what is still to be done."""
    counts = {**snapshot.tally.items, ItemState.SKIPPED: snapshot.skipped}
    parts = [f"{word} {counts[state]:,}" for state, word in _WORDS.items() if counts.get(state)]
    total = sum(counts.values())
    left = sum(counts.get(s, 0) for s in (ItemState.IN_FLIGHT, ItemState.WAITING))
    to_go = f", {left:,} to go" if left else ""
    return [*parts, f"= {plural(total, 'item')}{to_go}"]


def _failure(trouble: Trouble) -> str:
    return (
        f"  ! {trouble.count:,} x {trouble.kind}  coordinator explain {trouble.kind}"
        f"  e.g. {for_terminal(trouble.item)}: {for_terminal(trouble.reason)}"
    )


def news_of(snapshot: Snapshot) -> list[str]:
    """Why nothing new is started, or nothing moves."""
    lines = []
    if snapshot.draining:
        why = f"{for_terminal(snapshot.halted)}; " if snapshot.halted else ""
        lines.append(f"stopping: {why}waiting for what runs")
    if snapshot.trouble:
        lines.append(f"waiting: {for_terminal(snapshot.trouble)}; nothing is lost, it tries again")
    if snapshot.paused and not snapshot.halted:
        text = snapshot.paused if is_asked(snapshot) else f"paused: {snapshot.paused}"
        lines.append(for_terminal(text))
    return lines


def is_asked(snapshot: Snapshot) -> bool:
    """Whether somebody paused it, who is named then; its numbers change no such pause."""
    return snapshot.paused.startswith("paused ")


def _folded(parts: Sequence[str], width: int, indent: str) -> Iterator[str]:
    """The parts side by side, on as many lines as it takes; the first line comes in any case."""
    line = ""
    for part in filter(None, parts):
        longer = f"{line}  {part}" if line else f"{indent}{part}"
        if line and cell_len(longer) > width:
            yield line
            longer = f"{indent}{part}"
        line = longer
    yield line
