"""`why`: what keeps an item from running, or what became of it; and what would change that."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.became import became
from coordinator.commands.out_there import out_there
from coordinator.commands.reasons import Reason, resume_with
from coordinator.commands.record import BatchRecord, record_of
from coordinator.commands.status import open_ledger
from coordinator.commands.unknown import no_item
from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import ItemState
from coordinator.engine import Gate, gate_of, is_paused, most_out
from coordinator.engine.throttle import Thresholds
from coordinator.ledger import Control, ControlDesk, Ledger, Tally, holder
from coordinator.settings import Settings

_NOTES = ("halted", "started")  # what says how the last run of the batch's driver ended
_PAUSES = ("credentials_paused", "credentials_renewed", "started")


@dataclass(frozen=True)
class Why:
    """The answer, with what else holds: the first reason is the one that decides.

    Attributes:
        state: of the item.
        step, attempt: where it stands; "" and 0 for one that was skipped.
        steps: how many there are.
    """

    batch: str
    item: str
    state: ItemState
    step: str
    number: int  # of the step, from 1
    steps: int
    attempt: int
    reasons: tuple[Reason, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Look:
    """What the ledger says at this moment, of the batch and of the item's newest attempt."""

    record: BatchRecord
    ledger: Ledger
    row: dict[str, Any]  # of the attempt
    asked: Control
    driven_by: str | None
    tally: Tally
    now: float

    @property
    def batch(self) -> str:
        return self.record.batch

    @property
    def is_fresh(self) -> bool:
        """Whether sending it would put its item in flight."""
        return bool(self.row["fresh"])


def why(settings: Settings, batch: str, item: str, clock: Clock) -> Why:
    """What holds for one item, from the ledger; a cluster is asked only about a job that is out.

    Raises:
        BatchMissing, BadInput: no such batch or item, with the nearest.
    """
    ledger = open_ledger(settings, batch, clock)
    try:
        record = record_of(ledger)
        history = ledger.history(item)
        if not history:
            return _skipped(record, item) or _refuse(ledger, batch, item)
        state = ledger.state_of(item)
        row = history[-1]
        if S(row["state"]) in (S.READY, S.CLAIMED, S.SUBMITTED, S.RUNNING):
            reasons = tuple(_live(settings, _look(settings, ledger, record, row, clock)))
        else:
            reasons = became(record, item, state, history)
        number = row["step"] + 1
        steps = len(record.steps)
        step = record.steps[row["step"]]
        return Why(batch, item, state, step, number, steps, row["number"], reasons)
    finally:
        ledger.close()


def _refuse(ledger: Ledger, batch: str, item: str) -> Why:
    raise no_item(ledger, batch, item)


def _skipped(record: BatchRecord, item: str) -> Why | None:
    """An item that is on the list and not in the ledger."""
    reason = next((each.reason for each in record.skipped if each.id == item), None)
    if reason is None:
        return None
    said = Reason(
        "skipped",
        f"it was left out when the batch was submitted: {reason}",
        "mend it, and submit it in a new batch",
    )
    return Why(record.batch, item, ItemState.SKIPPED, "", 0, len(record.steps), 0, (said,))


def _look(
    settings: Settings, ledger: Ledger, record: BatchRecord, row: dict[str, Any], clock: Clock
) -> _Look:
    driven_by = holder(batch_folder(settings, record.batch))
    asked = ControlDesk(ledger).read()
    return _Look(record, ledger, row, asked, driven_by, ledger.tally(), clock.now())


def _live(settings: Settings, look: _Look) -> Iterator[Reason]:
    """All that holds, in the order in which it decides."""
    if S(look.row["state"]) is not S.READY:
        yield from _of_jobs(settings, look)
        return
    checks: tuple[Callable[[_Look], Reason | None], ...] = (
        _stopped,
        _paused,
        _undriven,
        _ending,
        _without_keys,
        _throttled,
        _behind_canaries,
        _too_early,
        _step_full,
        _lanes_full,
        _in_line,
    )
    yield from (reason for check in checks if (reason := check(look)) is not None)


def _of_jobs(settings: Settings, look: _Look) -> Iterator[Reason]:
    """Of an item that is with the cluster, or about to be."""
    if (nobody := _undriven(look)) and look.row["state"] == S.CLAIMED:
        yield nobody
    dispatch = look.ledger.dispatch(look.row["dispatch"])
    yield from out_there(settings, look.record, look.ledger, dispatch, look.row)
    if nobody and look.row["state"] != S.CLAIMED:
        yield nobody


# one reason each, in the order in which they decide


def _stopped(look: _Look) -> Reason | None:
    if look.row["item_id"] not in look.asked.items:
        return None
    return Reason(
        "stopping", "somebody asked for this item to be stopped", "it ends at the next look"
    )


def _paused(look: _Look) -> Reason | None:
    if not look.asked.paused:
        return None
    return Reason(
        "paused",
        f"the batch is paused {look.asked.paused}: nothing new is sent",
        f"coordinator resume {look.batch}",
    )


def _undriven(look: _Look) -> Reason | None:
    if look.driven_by:
        return None
    ended = look.ledger.last_note(*_NOTES)
    halted = f"; it was halted: {ended.why}" if ended and ended.action == "halted" else ""
    return Reason(
        "undriven", f"nobody drives the batch on this machine{halted}", resume_with(look.batch)
    )


def _ending(look: _Look) -> Reason | None:
    """A driver that waits for what runs, and sends nothing more."""
    if look.driven_by and look.asked.stop:
        what = f"the batch is being stopped, asked {look.asked.stop}: nothing new is sent"
        return Reason("stop", what, f"when its coordinator has ended: {resume_with(look.batch)}")
    ended = look.ledger.last_note(*_NOTES)
    if look.driven_by and ended and ended.action == "halted":
        what = f"the batch starts nothing more: {ended.why}"
        return Reason("halted", what, f"when its coordinator has ended: {resume_with(look.batch)}")
    return None


def _without_keys(look: _Look) -> Reason | None:
    last = look.ledger.last_note(*_PAUSES)
    if not look.driven_by or last is None or last.action != "credentials_paused":
        return None
    return Reason("credentials", last.why, f"coordinator credentials {look.batch}")


def _throttled(look: _Look) -> Reason | None:
    """Work on items in flight goes on at any number; new ones wait."""
    limits = Thresholds(look.record.stop_threshold, look.record.resume_threshold)
    flying = look.tally.in_flight
    if not look.is_fresh or not is_paused(flying, look.ledger.was_paused(), limits):
        return None
    return Reason(
        "throttle",
        f"{flying:,} items are in flight: new ones stop at {limits.stop_at:,},"
        f" and go on at {limits.resume_at:,}",
        f"it goes on by itself as items end; or coordinator set {look.batch} --stop_threshold"
        f" {limits.stop_at * 2}",
    )


def _behind_canaries(look: _Look) -> Reason | None:
    gate: Gate = gate_of(look.ledger, look.batch, look.record.canary)
    if not look.is_fresh or gate.first is None or look.row["item"] < gate.first:
        return None
    if gate.failed:
        return Reason("canary", gate.failed, f"coordinator resubmit {look.batch}")
    return Reason("canary", gate.held, "it opens by itself when they have succeeded")


def _too_early(look: _Look) -> Reason | None:
    seconds = look.row["not_before"] - look.now
    if seconds <= 0:
        return None
    return Reason(
        "wait",
        f"its next try is due in {seconds:,.0f} s, after a failure before",
        "wait_seconds of the step's retry rule says how long",
    )


def _step_full(look: _Look) -> Reason | None:
    limit = look.record.pipeline.steps[look.row["step"]].pack.at_once
    out = look.ledger.out_by_step().get(look.row["step"], 0) if limit else 0
    if not limit or out < limit:
        return None
    name = look.record.steps[look.row["step"]]
    return Reason(
        "at_once",
        f"{out:,} dispatches of step {name} are out, as many as may be (pack.at_once {limit:,})",
        "it goes on by itself when one has ended",
    )


def _lanes_full(look: _Look) -> Reason | None:
    most, out = most_out(look.record.slots or None), look.ledger.out_count()
    if out < most:
        return None
    return Reason(
        "lanes",
        f"{out:,} dispatches are out, as many as go at a time on {look.record.slots:,} slots",
        "it goes on by itself when one has ended; or give more --slots at the next start",
    )


def _in_line(look: _Look) -> Reason | None:
    before = look.ledger.ready_before(look.row["id"])
    others = "1 ready item goes" if before == 1 else f"{before:,} ready items go"
    what = f"{others} before it" if before else "it is the next that is sent"
    return Reason("turn", f"it waits for its turn: {what}", "nothing: it comes by itself")
