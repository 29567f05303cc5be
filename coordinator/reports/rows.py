"""One row per item of the run list, with fixed names: for tables, programs and the page.

Names end in their unit where they have one: `_s` seconds, `_bytes` bytes. A value is None where it
is not known. `FIELDS` is the table that documents, schemas and tests go by.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

from coordinator.domain.states import DONE
from coordinator.reports.dispatches import Attempt, a_time
from coordinator.reports.explain import Message
from coordinator.reports.history import ItemReport, Standing
from coordinator.reports.reading import BatchLogs

Type = Literal["string", "integer", "number", "numbers", "attempts"]
Row = Mapping[str, Any]  # field name -> value

_LONGEST = 64  # characters of a language's code
_LONGEST_TEXT = 1_000  # characters of what a worker says in words
_MEGABYTE = 1_000_000  # bytes of what is measured in MB (see domain/usage.py)


@dataclass(frozen=True)
class Field:
    """A field of a row.

    Attributes:
        type: `numbers` is a mapping of names to numbers; `attempts` a list of rows of ATTEMPT.
        unit: in words; "" = none.
    """

    name: str
    type: Type
    unit: str
    description: str

    @property
    def is_flat(self) -> bool:
        """Whether it fits into one cell of a table."""
        return self.type in ("string", "integer", "number")


FIELDS = (
    Field("item", "string", "", "the item's id"),
    Field("state", "string", "", "where it stands: every item is in exactly one state"),
    Field("kind", "string", "", "why it failed; only if it did"),
    Field("attempts", "integer", "", "tries in all steps together"),
    Field("step", "string", "", "the step of the attempt that decided"),
    Field("attempt", "integer", "", "the number of that attempt in its step, from 1"),
    Field("dispatch", "string", "", "the job that carried it"),
    Field("node", "string", "", "where that job ran"),
    Field("seconds", "number", "s", "what the worker took for that attempt"),
    Field("reason", "string", "", "why it failed or was skipped, or what its job had to say"),
    Field("file", "string", "", "where that stands, relative to the log folder"),
    Field("line", "integer", "", "which line of the file, from 1; none where it is no log"),
    Field("source_language", "string", "", "the language translated from"),
    Field("target_language", "string", "", "the language translated into"),
    Field("started_at", "number", "s since 1970", "when a worker first took it up"),
    Field("ended_at", "number", "s since 1970", "when the attempt that decided ended"),
    Field("wait_s", "number", "s", "from the first dispatch to when a worker took it up"),
    Field("work_s", "number", "s", "what workers took for it in all attempts and steps"),
    Field("load_s", "number", "s", "loading the model, of the job that translated it"),
    Field("model_s", "number", "s", "its share of the time that the model worked"),
    Field("sentences", "integer", "", "sentences translated or scored"),
    Field("tokens", "integer", "", "tokens translated, padding left out"),
    Field("truncated", "integer", "", "sentences of which the end could not be read or written"),
    Field("tokens_per_s", "number", "tokens/s", "tokens / model_s"),
    Field("output_bytes", "integer", "bytes", "the files that its successful attempts left"),
    Field("cores_mean", "number", "cores", "cores kept busy while its job worked on it"),
    Field("memory_peak_bytes", "integer", "bytes", "the job's memory at its highest meanwhile"),
    Field("gpu_percent_mean", "number", "%", "how busy the job's GPUs were meanwhile"),
    Field("gpu_memory_peak_bytes", "integer", "bytes", "the memory of its GPUs at its highest"),
    Field("suspicious", "string", "", "what looks wrong with its translations"),
    Field("progress", "string", "", "how far it is; only of what is still running"),
    Field("tries", "attempts", "", "every attempt, by step and number"),
    Field("scores", "numbers", "", "metric: score; only of items that succeeded"),
)

ATTEMPT = (
    Field("step", "string", "", "its step"),
    Field("number", "integer", "", "its number in the step, from 1"),
    Field("state", "string", "", "how it ended, or where it is"),
    Field("kind", "string", "", "why it failed; only if it did"),
    Field("reason", "string", "", "the same in words"),
    Field("dispatch", "string", "", "the job that carried it"),
    Field("node", "string", "", "where that ran"),
    Field("folder", "string", "", "the folder of its logs, relative to the log folder"),
    Field("claimed_at", "number", "s since 1970", "when its job was made"),
    Field("submitted_at", "number", "s since 1970", "when the cluster had the job"),
    Field("job_ended_at", "number", "s since 1970", "when the job was seen to have ended"),
    Field("started_at", "number", "s since 1970", "when the worker took the item up"),
    Field("ended_at", "number", "s since 1970", "when the worker was done with it"),
    Field("load_s", "number", "s", "what the job took until it was ready"),
    Field("exit_code", "integer", "", "of the job's main task"),
    Field("signal", "integer", "", "that ended the main task"),
)


def item_rows(
    logs: BatchLogs,
    reports: Iterable[ItemReport],
    messages: Mapping[str, Message],
    scores: Mapping[str, Mapping[str, float]],
    base: Path,
) -> Iterator[Row]:
    """A row for each of `reports`, with the names of FIELDS in their order.

    Args:
        logs: the batch.
        reports: sorted as the rows shall be.
        messages: item -> why it failed.
        scores: item -> metric -> score, of items that succeeded.
        base: the log folder, to which paths are relative.
    """
    for report in reports:
        attempts = _in_order(logs.attempts.get(report.item, ()), logs.steps)
        message, skipped = messages.get(report.item), logs.skipped.get(report.item, "")
        yield {
            **_verdict(report, message, skipped),
            **_languages(attempts),
            **_times(report, attempts),
            **_work(attempts),
            **_resources(attempts),
            "suspicious": _suspicious(report),
            "progress": str(report.progress) if report.progress else None,
            "tries": [_try(attempt, base) for attempt in attempts],
            "scores": scores.get(report.item, {}),
        }


def flat_names(metrics: Sequence[str]) -> list[str]:
    """The columns of a flat table: the fields that fit into a cell, then a score each."""
    return [field.name for field in FIELDS if field.is_flat] + [f"score_{m}" for m in metrics]


def flat(row: Row, metrics: Sequence[str]) -> list[str | int | float | None]:
    """The row as cells for `flat_names(metrics)`."""
    cells = [row[field.name] for field in FIELDS if field.is_flat]
    return [*cells, *(row["scores"].get(metric) for metric in metrics)]


def _in_order(attempts: Iterable[Attempt], steps: Sequence[str]) -> list[Attempt]:
    places = {step: place for place, step in enumerate(steps)}
    return sorted(attempts, key=lambda a: (places.get(a.step, -1), a.number))


def _verdict(report: ItemReport, message: Message | None, skipped: str) -> dict[str, Any]:
    """The fields of the attempt that decided; all None where there was none."""
    attempt = report.deciding
    reason = attempt.reason if attempt else f"skipped: {skipped}" if skipped else None
    return {
        "item": report.item,
        "state": str(report.standing),
        "kind": str(report.kind) if report.kind else None,
        "attempts": report.attempts,
        "step": attempt.step if attempt else None,
        "attempt": attempt.number if attempt else None,
        "dispatch": attempt.folder.name if attempt else None,
        "node": attempt.node if attempt else None,
        "seconds": round(_duration(attempt), 3) if attempt and attempt.outcome else None,
        "reason": message.message if message else reason,
        "file": message.file if message else None,
        "line": message.line if message else None,
    }


def _languages(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """As the newest outcome that knows them says."""
    for found in _facts(attempts, "languages"):
        match found:
            case [str(source), str(target)] if max(len(source), len(target)) <= _LONGEST:
                return {"source_language": source or None, "target_language": target or None}
    return {"source_language": None, "target_language": None}


def _times(report: ItemReport, attempts: Sequence[Attempt]) -> dict[str, Any]:
    begun = [at for a in attempts if (at := _began(a)) is not None]
    sent = [a.times.claimed_at for a in attempts if a.times.claimed_at]
    return {
        "started_at": min(begun, default=None),
        "ended_at": _ended(report.deciding) if report.deciding else None,
        "wait_s": round(max(0.0, min(begun) - min(sent)), 3) if begun and sent else None,
        "work_s": round(sum(map(_duration, attempts)), 3) if begun else None,
    }


def _began(attempt: Attempt) -> float | None:
    return a_time(attempt.outcome.started_at) if attempt.outcome else None


def _ended(attempt: Attempt) -> float | None:
    return a_time(attempt.outcome.ended_at) if attempt.outcome else None


def _duration(attempt: Attempt) -> float:
    """Seconds that the worker took; 0 where it left no outcome, or one with times that are none."""
    began, ended = _began(attempt), _ended(attempt)
    return max(0.0, ended - began) if began is not None and ended is not None else 0.0


def _work(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """What the model did, by the newest attempt that tells of tokens."""
    told = next((a for a in reversed(attempts) if _number(a, "tokens") is not None), None)
    tokens, seconds = (_number(told, name) if told else None for name in ("tokens", "seconds"))
    done = [a.outcome for a in attempts if a.outcome and a.state in DONE]
    return {
        "load_s": _number(told, "load_seconds") if told else None,
        "model_s": round(seconds, 6) if seconds is not None else None,
        "sentences": next((_whole(n) for n in _facts(attempts, "sentences") if _is(n)), None),
        "tokens": _whole(tokens),
        "truncated": _whole(_number(told, "truncated")) if told else None,
        "tokens_per_s": _rate(tokens, seconds),
        "output_bytes": sum(file.size for o in done for file in o.files) if done else None,
    }


def _rate(tokens: float | None, seconds: float | None) -> float | None:
    """None too where the time is too short to be one."""
    if tokens is None or seconds is None or seconds < 1e-6:
        return None
    return round(tokens / seconds, 3)


def _resources(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Peaks are the highest of all attempts; means are of the attempt that was measured longest."""
    used = [a for a in attempts if a.outcome and isinstance(a.outcome.facts.get("resources"), dict)]
    longest = max(used, key=_duration, default=None)
    return {
        "cores_mean": _use(longest, "cores", "mean"),
        "memory_peak_bytes": _peak(used, "memory_mb"),
        "gpu_percent_mean": _use(longest, "gpu_percent", "mean"),
        "gpu_memory_peak_bytes": _peak(used, "gpu_memory_mb"),
    }


def _peak(attempts: Iterable[Attempt], column: str) -> int | None:
    peaks = [_use(attempt, column, "peak") for attempt in attempts]
    return max((round(peak * _MEGABYTE) for peak in peaks if peak is not None), default=None)


def _use(attempt: Attempt | None, column: str, kind: str) -> float | None:
    if attempt is None or attempt.outcome is None:
        return None
    columns = attempt.outcome.facts.get("resources")
    use = columns.get(column) if isinstance(columns, dict) else None
    value = use.get(kind) if isinstance(use, dict) else None
    return float(value) if _is(value) else None


def _suspicious(report: ItemReport) -> str | None:
    """The sentences that its scoring gave, of an item that succeeded."""
    if report.standing is not Standing.SUCCEEDED or not report.deciding:
        return None
    match next(iter(_facts([report.deciding], "suspicious")), None):
        case {"flags": [*flags]} if flags:
            return "; ".join(map(str, flags))[:_LONGEST_TEXT]
    return None


def _try(attempt: Attempt, base: Path) -> dict[str, Any]:
    """One attempt, with the names of ATTEMPT."""
    ending, times = attempt.ending, attempt.times
    return {
        "step": attempt.step,
        "number": attempt.number,
        "state": str(attempt.state),
        "kind": str(attempt.kind) if attempt.kind else None,
        "reason": attempt.reason or None,
        "dispatch": attempt.folder.name,
        "node": attempt.node or None,
        "folder": str(attempt.folder.relative_to(base)),
        "claimed_at": times.claimed_at,
        "submitted_at": times.submitted_at,
        "job_ended_at": times.ended_at,
        "started_at": _began(attempt),
        "ended_at": _ended(attempt),
        "load_s": _number(attempt, "load_seconds"),
        "exit_code": ending.exit_code if ending else None,
        "signal": (ending.signal or None) if ending else None,
    }


# facts, which are whatever a worker wrote


def _facts(attempts: Sequence[Attempt], name: str) -> Iterator[Any]:
    """Values of a fact, the newest attempt's first."""
    for attempt in reversed(attempts):
        if attempt.outcome is not None and name in attempt.outcome.facts:
            yield attempt.outcome.facts[name]


def _number(attempt: Attempt | None, name: str) -> float | None:
    value = attempt.outcome.facts.get(name) if attempt and attempt.outcome else None
    return value if _is(value) else None


def _is(value: object) -> TypeGuard[int | float]:
    """Whether it is a number that may be shown: neither NaN nor infinite nor negative."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < 1e15 and math.isfinite(value)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
