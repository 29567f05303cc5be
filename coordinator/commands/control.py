"""`set`, `pause`, `resume`, `stop`: what is asked of a batch, whoever drives it, or nobody.

Each leaves word in the ledger, where the driver looks once a tick, and an event with who asked.
"""

import getpass
import os
import socket
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.purge import stop_all
from coordinator.commands.record import BatchRecord, as_document, record_of
from coordinator.commands.status import open_ledger
from coordinator.commands.unknown import not_in_batch
from coordinator.domain.states import ItemState
from coordinator.errors import BadInput, BatchBusy
from coordinator.ledger import Asked, Control, ControlDesk, Ledger, driver_lock, holder, wholly_of
from coordinator.settings import Settings


@dataclass(frozen=True)
class Word:
    """What was left for the driver, and who that is.

    Attributes:
        did: what was asked for, in words.
        driven_by: who will do it within a moment; None = nobody drives the batch now.
        finished: whether every item of the batch has ended.
        kept: whether it waits for the next start where nobody drives the batch.
    """

    batch: str
    did: tuple[str, ...]
    driven_by: str | None
    finished: bool
    kept: bool = True


def retune(settings: Settings, batch: str, changes: Mapping[str, Any], clock: Clock) -> Word:
    """Change thresholds, the wait or the like of a batch.

    Raises:
        UsageError: thresholds that cannot be.
    """

    def change(document: dict[str, Any]) -> dict[str, Any]:
        record = BatchRecord.model_validate(document).model_copy(update=changes)
        record.to_batch()  # checks the thresholds
        return as_document(record)

    ledger = open_ledger(settings, batch, clock, read_only=False)
    try:
        before = as_document(record_of(ledger))
        did = tuple(f"{name} {before[name]} -> {value}" for name, value in changes.items())
        ControlDesk(ledger).change_record(change, "set", f"by {whoami()}: {', '.join(did)}")
        return _word(settings, ledger, batch, did)
    finally:
        ledger.close()


def pause(settings: Settings, batch: str, clock: Clock) -> Word:
    """Send nothing new until `lift_pause`; what runs goes on."""
    asked = Asked(by=whoami(), at=clock.now())

    def change(control: Control) -> Control:
        return control if control.paused else control.changed(paused=asked)

    ledger = open_ledger(settings, batch, clock, read_only=False)
    try:
        control = ControlDesk(ledger).ask(change, "pause asked", f"by {asked.by}")
        return _word(settings, ledger, batch, (f"paused {control.paused}",))
    finally:
        ledger.close()


def lift_pause(settings: Settings, batch: str, clock: Clock) -> Word:
    """Let a paused batch go on, if somebody drives it."""
    ledger = open_ledger(settings, batch, clock, read_only=False)
    try:
        desk = ControlDesk(ledger)
        before = desk.read().paused
        desk.ask(lambda control: control.changed(paused=None), "pause lifted", f"by {whoami()}")
        did = f"the pause asked for {before} is lifted" if before else "nobody had paused it"
        return _word(settings, ledger, batch, (did,), kept=False)
    finally:
        ledger.close()


def stop(settings: Settings, batch: str, clock: Clock, *, now: bool) -> Word:
    """Have the driver end: when what runs has ended, or with `now` by stopping that first.

    Where nobody drives the batch, `now` stops and collects what runs from here.
    """
    ledger = open_ledger(settings, batch, clock, read_only=False)
    try:
        out, asked = len(ledger.out()), Asked(by=whoami(), at=clock.now())
        why = f"by {asked.by}: {'what runs is stopped' if now else 'what runs is waited for'}"
        if _is_idle(settings, batch, clock, now=now and out > 0):
            ledger.note("stop asked", why)
            return _word(settings, ledger, batch, (_left_alone(out, now=now),), kept=False)
        ControlDesk(ledger).ask(
            lambda c: c.changed(stop=asked, now=now or c.now), "stop asked", why
        )
        runs = "are asked to stop" if now else "are waited for"
        did = f"no more is started; {out:,} dispatches that are out {runs}"
        return _word(settings, ledger, batch, (did,))
    finally:
        ledger.close()


def stop_items(settings: Settings, batch: str, items: Sequence[str], clock: Clock) -> Word:
    """Stop these items, each as far as can be done without harm to others.

    Raises:
        BadInput: some are not in the batch.
    """
    ledger = open_ledger(settings, batch, clock, read_only=False)
    try:
        _refuse_unknown(ledger, batch, items)
        fates = _fates(ledger, items)
        live = [item for item, fate in fates.items() if fate != _ENDED]
        if live:
            why = f"by {whoami()}: {len(live)} items"
            ControlDesk(ledger).ask(
                lambda c: c.changed(items=tuple(dict.fromkeys((*c.items, *live)))),
                "stop asked",
                why,
            )
            _carry_out_unless_driven(settings, ledger, batch)
        did = tuple(f"{count:,} {fate}" for fate, count in Counter(fates.values()).items())
        return _word(settings, ledger, batch, did)
    finally:
        ledger.close()


# What becomes of an item that is to be stopped.
_ENDED = "ended before: nothing is changed"
_WAITS = "not running: stopped without being run (again)"
_ALONE = "running in a pack of which nothing else is wanted: the job is stopped"
_SHARED = (
    "running in a pack with others, which goes on: stopped when the pack has ended, unless that"
    " finished them"
)


def _fates(ledger: Ledger, items: Sequence[str]) -> dict[str, str]:
    live = ControlDesk(ledger).live({*items, *ControlDesk(ledger).read().items})
    alone = {dispatch.id for dispatch in ledger.out() if wholly_of(dispatch, live)}
    where = {found.item: found.dispatch for found in live}

    def fate(item: str) -> str:
        if item not in where:
            return _ENDED
        if where[item] is None:
            return _WAITS
        return _ALONE if where[item] in alone else _SHARED

    return {item: fate(item) for item in items}


def _carry_out_unless_driven(settings: Settings, ledger: Ledger, batch: str) -> None:
    """What needs no cluster is done at once; the rest is kept for the next start."""
    folder = batch_folder(settings, batch)
    if holder(folder) is not None:
        return
    try:
        with driver_lock(folder, batch):
            ControlDesk(ledger).carry_out()
    except BatchBusy:  # somebody has just begun to drive it, and finds the word
        return


def _is_idle(settings: Settings, batch: str, clock: Clock, *, now: bool) -> bool:
    """Whether nobody drives the batch; with `now`, what runs is then stopped from here."""
    if holder(batch_folder(settings, batch)) is not None:
        return False
    try:
        if now:
            stop_all(settings, batch, clock)
    except BatchBusy:  # somebody has just begun to drive it
        return False
    return True


def _left_alone(out: int, *, now: bool) -> str:
    if not out:
        return "nothing runs, and nothing is started"
    if now:
        return f"{out:,} dispatches that were out are stopped and home"
    return f"nothing is started; {out:,} dispatches that are out run on, --now stops them"


def _refuse_unknown(ledger: Ledger, batch: str, items: Collection[str]) -> None:
    known = ledger.known_ids(items)
    problems = [not_in_batch(ledger, item) for item in items if item not in known]
    if problems:
        raise BadInput(
            f"{len(problems):,} of the items cannot be stopped in {batch}; nothing was changed",
            problems=problems,
            hint=f"coordinator status {batch} says where it stands",
        )


def whoami() -> str:
    """`user@host`, for whoever wonders who asked."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such user here, as in many containers
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _word(
    settings: Settings, ledger: Ledger, batch: str, did: tuple[str, ...], *, kept: bool = True
) -> Word:
    counts = ledger.tally().items
    left = counts.get(ItemState.WAITING, 0) + counts.get(ItemState.IN_FLIGHT, 0)
    return Word(batch, did, holder(batch_folder(settings, batch)), not left, kept)
