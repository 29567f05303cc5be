"""How fast a batch was and what it used: from its dispatch records and outcomes alone.

A slot is what one dispatch occupies: a lane of the embedded executor, or a job on Nomad.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.domain.handoff import Outcome
from coordinator.reports.dispatches import Attempt
from coordinator.reports.reading import read_record
from coordinator.reports.tree import Tree

_LONGEST = 30 * 86_400.0  # seconds: what is longer is no measurement
_MOST = 10**12  # tokens of an item
_MOST_GPUS = 1024  # of one dispatch


@dataclass(frozen=True)
class StepPace:
    """All dispatches of a step together; seconds.

    Attributes:
        gpus: of each dispatch.
        items: attempts that succeeded.
        tokens: that were written for these; 0 = the step has none.
        slot: in which a dispatch occupied a slot, loading included.
        load: of these, until its model was ready.
    """

    step: str
    gpus: int
    dispatches: int
    attempts: int
    items: int
    tokens: int
    slot: float
    load: float

    @property
    def gpu(self) -> float:
        return self.slot * self.gpus

    @property
    def load_share(self) -> float | None:
        return self.load / self.slot if self.slot else None

    @property
    def tokens_per_slot_second(self) -> float | None:
        """Of one slot while it works, loading left out."""
        work = self.slot - self.load
        return self.tokens / work if self.tokens and work > 0 else None

    def to_json(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "gpus": self.gpus,
            "dispatches": self.dispatches,
            "attempts": self.attempts,
            "items": self.items,
            "tokens": self.tokens,
            "slot_s": self.slot,
            "gpu_s": self.gpu,
            "load_s": self.load,
            "load_share": self.load_share,
            "tokens_per_slot_s": self.tokens_per_slot_second,
        }


@dataclass(frozen=True)
class Pace:
    """A whole batch.

    Attributes:
        items: that succeeded in the end.
        wall: seconds from the first claim to the last end, pauses included; 0 = nothing ended.
    """

    items: int
    wall: float
    steps: tuple[StepPace, ...]

    @property
    def tokens(self) -> int:
        return sum(step.tokens for step in self.steps)

    @property
    def slot(self) -> float:
        return sum(step.slot for step in self.steps)

    @property
    def gpu(self) -> float:
        return sum(step.gpu for step in self.steps)

    @property
    def load(self) -> float:
        return sum(step.load for step in self.steps)

    @property
    def load_share(self) -> float | None:
        return self.load / self.slot if self.slot else None

    @property
    def items_per_second(self) -> float | None:
        return self.items / self.wall if self.wall else None

    @property
    def tokens_per_second(self) -> float | None:
        """Of all slots together, by the clock on the wall."""
        return self.tokens / self.wall if self.wall and self.tokens else None

    def to_json(self) -> dict[str, Any]:
        return {
            "items": self.items,
            "wall_s": self.wall,
            "items_per_s": self.items_per_second,
            "tokens": self.tokens,
            "tokens_per_s": self.tokens_per_second,
            "slot_s": self.slot,
            "gpu_s": self.gpu,
            "load_s": self.load,
            "load_share": self.load_share,
            "steps": [step.to_json() for step in self.steps],
        }


@dataclass(frozen=True)
class _Ran:
    """One dispatch."""

    step: str
    attempts: int
    items: int
    tokens: int
    slot: float
    load: float
    claimed_at: float
    ended_at: float


def pace_of(
    tree: Tree, folder: Path, attempts: Iterable[Attempt], steps: Sequence[str], items: int
) -> Pace:
    """What the dispatches of a batch come to.

    Args:
        tree: what its log folder is read through.
        folder: the batch's.
        attempts: all, of all items.
        steps: all, in order.
        items: that succeeded in the end.
    """
    gpus, members = _gpus(tree, folder), defaultdict(list)
    for attempt in attempts:
        members[attempt.folder].append(attempt)
    ran = [_ran(tries) for tries in members.values()]
    timed = [each for each in ran if each.ended_at]
    first = min((each.claimed_at for each in timed), default=0.0)
    last = max((each.ended_at for each in timed), default=0.0)
    return Pace(items, _seconds(last - first), tuple(_step(s, ran, gpus.get(s, 0)) for s in steps))


def _step(step: str, ran: Iterable[_Ran], gpus: int) -> StepPace:
    own = [each for each in ran if each.step == step]
    return StepPace(
        step=step,
        gpus=gpus,
        dispatches=len(own),
        attempts=sum(each.attempts for each in own),
        items=sum(each.items for each in own),
        tokens=sum(each.tokens for each in own),
        slot=sum(each.slot for each in own),
        load=sum(each.load for each in own),
    )


def _ran(tries: Sequence[Attempt]) -> _Ran:
    """From when it began to load until its last item; as recorded where outcomes are missing."""
    outcomes = [attempt.outcome for attempt in tries if attempt.outcome]
    good = [outcome for outcome in outcomes if outcome.status == "succeeded"]
    times = tries[0].times
    sent = times.submitted_at or times.claimed_at or 0.0
    load = max((_fact(outcome, "load_seconds", _LONGEST) for outcome in outcomes), default=0.0)
    began = min((outcome.started_at - load for outcome in outcomes), default=sent)
    ended = max((outcome.ended_at for outcome in outcomes), default=0.0)
    if len(outcomes) < len(tries):
        ended = max(ended, times.ended_at or 0.0)
    slot = _seconds(ended - began)
    return _Ran(
        step=tries[0].step,
        attempts=len(tries),
        items=len(good),
        tokens=sum(int(_fact(outcome, "tokens", _MOST)) for outcome in good),
        slot=slot,
        load=min(load, slot),
        claimed_at=min(began, times.claimed_at or began),
        ended_at=ended,
    )


def _gpus(tree: Tree, folder: Path) -> Mapping[str, int]:
    """Step -> GPUs of a dispatch, as the batch's record has it; what it does not say is none."""
    try:
        steps = read_record(tree, folder).get("pipeline", {}).get("steps", [])
        found = {str(step["name"]): step["resources"]["gpus"] for step in steps}
    except (TypeError, KeyError, AttributeError):
        return {}
    return {step: n for step, n in found.items() if type(n) is int and 0 <= n <= _MOST_GPUS}


def _fact(outcome: Outcome, name: str, most: float) -> float:
    """A number among the facts of an outcome; 0 where there is none that can be right."""
    value = outcome.facts.get(name, 0)
    right = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
    return float(value) if right else 0.0


def _seconds(value: float) -> float:
    return value if 0 <= value <= _LONGEST else 0.0
