"""What Nomad's records of a job mean: pure, over the documents of its API.

A job that is dead may still run (a task is told to end, or works on after its sibling failed), so
the end is when the job is dead and every task of every allocation is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.domain.verdicts import Ending, StopReason

Document = Mapping[str, Any]

_OVER = {"complete", "failed", "lost"}
# Words of DesiredDescription and events. Nomad gives no codes for these.
_DRAINED = "alloc is being migrated"
_DEREGISTERED = "job update"
_TOO_LONG = "max_run_duration"
_KILLED = 137  # exit code of a task that the kernel or Nomad killed


@dataclass(frozen=True)
class Started:
    """The newest allocation of a job that runs."""

    allocation: str
    node: str
    placed_at: float  # by the server's clock, epoch seconds
    started_at: str  # by the node's clock, RFC 3339; "" = its main task has not started
    waits_for: str  # what the task says that it waits for, or ""
    away_since: float  # by the server's clock: when its node was missed; 0 = it is not


def newest(allocations: Sequence[Document]) -> Document | None:
    """The allocation that counts: a replacement has the highest CreateIndex."""
    return max(allocations, key=lambda each: each["CreateIndex"], default=None)


def is_over(job: Document, allocations: Sequence[Document]) -> bool:
    """Whether nothing of the job runs any more. `job`: an entry of the list of jobs."""
    return job["Status"] == "dead" and all(_is_over(each) for each in allocations)


def _is_over(allocation: Document) -> bool:
    if _is_given_up(allocation):
        return True
    if allocation["ClientStatus"] not in _OVER:
        return False
    states = (allocation.get("TaskStates") or {}).values()
    return allocation["ClientStatus"] == "lost" or all(s["State"] == "dead" for s in states)


def _is_given_up(allocation: Document) -> bool:
    """Whether it was stopped while its node was away: its end may never be known.

    Where the node comes back, it is stopped there; what it writes meanwhile is of its own attempt.
    """
    return allocation["ClientStatus"] == "unknown" and allocation.get("DesiredStatus") == "stop"


def ending_of(job: Document, allocations: Sequence[Document], main_task: str) -> Ending:
    """How a job ended that is over."""
    last = newest(allocations)
    if last is None:
        return _never_placed(job)
    stop = _stop_reason(job, last)
    if last["ClientStatus"] == "lost" or _is_given_up(last):
        why = last.get("DesiredDescription") or "its node is lost"
        return Ending(gone=not stop, stop=stop, detail=why)
    return _of_task(last, main_task, stop)


def started(allocations: Sequence[Document], main_task: str) -> Started | None:
    """Where a job runs, or None if it was not placed."""
    last = newest(allocations)
    if last is None:
        return None
    state = _task_state(last, main_task)
    started_at = state.get("StartedAt") or ""
    if started_at.startswith("0001-"):  # Go's zero
        started_at = ""
    waits_for = "" if started_at else _last_words(state)
    away_since = 0.0
    if last["ClientStatus"] == "unknown":  # nobody knows whether it runs, so its time stands still
        started_at, waits_for = "", "its node is disconnected"
        away_since = (last.get("ModifyTime") or 0) / 1e9
    placed_at = (last.get("CreateTime") or 0) / 1e9
    node = last.get("NodeName") or ""
    return Started(last["ID"], node, placed_at, started_at, waits_for, away_since)


def _never_placed(job: Document) -> Ending:
    if job.get("Stop"):
        return Ending(stop=StopReason.ASKED, detail="stopped before it was placed")
    return Ending(gone=True, detail="it ended, and no placement of it is known")


def _stop_reason(job: Document, allocation: Document) -> StopReason:
    said = allocation.get("DesiredDescription") or ""
    if _TOO_LONG in said:
        return StopReason.TIME_LIMIT
    if allocation.get("DesiredStatus") == "evict":  # preempted: its place was needed
        return StopReason.DRAINED
    if allocation.get("DesiredStatus") != "stop":
        return StopReason.NONE
    if _DEREGISTERED in said or job.get("Stop"):
        return StopReason.ASKED
    return StopReason.DRAINED if _DRAINED in said else StopReason.NONE


def _of_task(allocation: Document, main_task: str, stop: StopReason) -> Ending:
    state = _task_state(allocation, main_task)
    events = state.get("Events") or []
    ended = next((e for e in reversed(events) if e["Type"] == "Terminated"), None)
    if ended is None:
        return Ending(stop=stop, detail=_last_words(state) or allocation["ClientDescription"])
    details = ended.get("Details") or {}
    code = int(details.get("exit_code") or 0)
    if code < 0:  # the executor was killed, as raw_exec may do too early after a stop: nobody knows
        return Ending(stop=stop, detail=_last_words(state) or "its executor was killed")
    oom_killed = details.get("oom_killed") == "true"
    if code == _KILLED and not (oom_killed or stop) and (why := _killing(events)):
        return Ending(detail=why)
    return Ending(
        exit_code=code,
        signal=int(details.get("signal") or 0),
        oom_killed=oom_killed,
        stop=stop,
    )


def _killing(events: Sequence[Document]) -> str:
    """Why Nomad itself killed the task in its last run; "" = it did not."""
    began = max((n for n, e in enumerate(events) if e["Type"] == "Started"), default=0)
    words = {e["Type"]: " ".join((e.get("DisplayMessage") or "").split()) for e in events[began:]}
    if "Killing" not in words:
        return ""
    return words.get("Sibling Task Failed") or words["Killing"] or "killed by Nomad"


def _task_state(allocation: Document, main_task: str) -> Document:
    states: Mapping[str, Document] = allocation.get("TaskStates") or {}
    if main_task in states or len(states) != 1:
        return states.get(main_task, {})
    return next(iter(states.values()))


def _last_words(state: Document) -> str:
    """The newest event that says something of a failure or a wait."""
    telling = {"Driver Failure", "Setup Failure", "Failed Artifact Download", "Killing", "Template"}
    telling |= {"Sibling Task Failed", "Failed Validation", "Terminated", "Driver"}
    events = state.get("Events") or []
    words = (e.get("DisplayMessage") or "" for e in reversed(events) if e["Type"] in telling)
    return " ".join(next(words, "").split())
