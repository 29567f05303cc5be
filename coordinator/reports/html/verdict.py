"""The first thing on the page: one sentence, numbers that add up, and the one next command."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator.reports.html.inputs import History, Inputs
from coordinator.reports.html.states import Look, look_of
from coordinator.reports.kinds import must_be_mended
from coordinator.reports.lists import FAILED
from coordinator.reports.summary import Summary, show_list


@dataclass(frozen=True)
class Part:
    """A state and how many items are in it; `share` is of the run list, 0 to 1."""

    look: Look
    count: int
    share: float


@dataclass(frozen=True)
class Verdict:
    """How the batch stands.

    Attributes:
        tone: a class of the style sheet, of the worst that is to be told.
        command: what to do next, with the reason; "" = nothing.
    """

    tone: str
    sentence: str
    parts: tuple[Part, ...]
    total: int
    command: str
    why: str


def verdict_of(inputs: Inputs, counts: Sequence[tuple[str, int]]) -> Verdict:
    """`counts`: (state, items), which add up to the run list."""
    total = sum(count for _, count in counts)
    parts = tuple(Part(look_of(name), n, n / total if total else 0.0) for name, n in counts)
    tone, sentence = _said(parts, total, inputs.history, inputs.now)
    command, why = _next(inputs.summary, parts, inputs.history)
    return Verdict(tone, sentence, parts, total, command, why)


def moment(at: float) -> str:
    """A time as text, in UTC."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "an unknown time"


def items_in_words(count: int) -> str:
    return "1 item" if count == 1 else f"{count:,} items"


def _said(
    parts: Sequence[Part], total: int, history: History | None, now: float
) -> tuple[str, str]:
    over = sum(part.count for part in parts if part.look.is_over)
    wrong = [part for part in parts if part.look.tone in ("bad", "warn")]
    told = ", ".join(f"{part.count:,} {part.look.word}" for part in wrong)
    if not total:
        return "idle", "This batch has no items."
    if over < total:
        return _unfinished(parts, over, total, told, history, now)
    if wrong:
        good = sum(part.count for part in parts if part.look.name == "succeeded")
        return "bad", f"Finished: {good:,} of {items_in_words(total)} succeeded; {told}."
    return "good", _all_done(parts, total)


def _unfinished(
    parts: Sequence[Part], over: int, total: int, told: str, history: History | None, now: float
) -> tuple[str, str]:
    begun = any(p.look.tone == "live" for p in parts) or over
    share = f"{100 * over // total} %"
    but = f"; {told} so far" if told else ""
    tone = "bad" if told else "live"
    if history is not None and history.driven_by is None:
        return "warn", f"Interrupted at {share} ({over:,} of {total:,}): nobody drives it now{but}."
    if not begun:
        return "idle", f"Nothing has run yet: {items_in_words(total)} to do, as of {moment(now)}."
    word = "Running" if history is not None else "Not finished"
    return tone, f"{word}, as of {moment(now)}: {share} ({over:,} of {total:,}) is done{but}."


def _all_done(parts: Sequence[Part], total: int) -> str:
    quiet = [part for part in parts if part.look.name != "succeeded"]
    if not quiet:
        return f"All done: {items_in_words(total)} succeeded."
    told = ", ".join(f"{part.count:,} {part.look.word}" for part in parts)
    return f"All done: of {items_in_words(total)}, {told}; none failed."


def _next(summary: Summary, parts: Sequence[Part], history: History | None) -> tuple[str, str]:
    name = shlex.quote(summary.batch)
    unfinished = any(not part.look.is_over for part in parts)
    failed = sum(part.count for part in parts if part.look.tone == "bad")
    if summary.is_foreign:
        again = show_list(summary.report_dir, FAILED)
        return (again, f"lists {items_in_words(failed)} to run again") if failed else ("", "")
    if unfinished and history is not None and history.driven_by is None:
        return f"coordinator submit --batch_name {name} --resume", "goes on where it stopped"
    if unfinished:
        return f"coordinator status {name}", "says where it stands now"
    if not failed:
        return "", ""
    if mended := [kind for kind in summary.commands if must_be_mended(kind)]:
        look, *_ = summary.advice_on(mended[0])
        return look, "says what is wrong; what to run once it is mended stands below"
    return f"coordinator resubmit {name}", f"runs {items_in_words(failed)} again"
