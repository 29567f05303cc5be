"""Closing the gap of a restored ledger: dispatches that were made and that it does not know.

Each dispatch leaves a handoff in the output root before the cluster hears of it, and that names its
attempts, its number and its token. So a restored ledger learns of every dispatch that it does not
know, claims the same attempts for it, and then goes the way of every claimed dispatch after a
crash: looked up by its token, adopted or sent again under it. One that was sent for certain and
that the cluster has forgotten is not sent again: it is judged by what it left. Nothing new is sent
until all that is known.
"""

from collections.abc import Callable, Collection

import structlog

from coordinator.clock import Clock
from coordinator.cluster import JobId
from coordinator.domain.handoff import Handoff, HandoffItem, read_handoff
from coordinator.engine.batch import Batch
from coordinator.errors import BadInput, ObjectMissing
from coordinator.ledger import Attempt, Dispatch, Ledger, PortableLedger
from coordinator.parallel import Lanes
from coordinator.storage import Storage

_READS = Lanes(16)

Find = Callable[[Dispatch], JobId | None]  # the job of a dispatch, if the cluster has it
Try = tuple[str, int, int]  # item, step and number of an attempt


class Adopter:
    """Takes over the dispatches of one batch that its ledger does not know."""

    def __init__(
        self, batch: Batch, ledger: Ledger, storage: Storage, clock: Clock, find: Find
    ) -> None:
        self._batch, self._storage, self._clock, self._find = batch, storage, clock, find
        self._ledger = PortableLedger(ledger)
        self._log = structlog.get_logger().bind(batch=batch.name)
        self.is_needed = self._ledger.has_gap
        self._unknown: dict[str, Handoff] | None = None
        self._tried: set[Try] = set()  # what is told by all of these handoffs
        self._taken = 0

    def adopt(self, *, idle: bool) -> int:
        """Take over what can be taken over by now; how many dispatches.

        A dispatch of a later attempt has to wait until the ledger knows how the one before ended.
        `idle`: nothing is out, so nothing more will be known than now.
        """
        if not self.is_needed:
            return 0
        unknown = self._still_unknown()
        taken = self._take_all(unknown, whole=True)
        if not taken and idle and self._reopen(unknown):
            taken = self._take_all(unknown, whole=True)
        if not taken and idle:  # what the ledger came to differs from what had happened
            taken = self._take_all(unknown, whole=False)
        if not unknown or (idle and not taken):
            self._finish(unknown.values())
        return taken

    def _reopen(self, unknown: dict[str, Handoff]) -> int:
        """Somebody had resubmitted these, or had them done again; how many items."""
        return self._ledger.reopen([t for left in unknown.values() for t in self._tries(left)])

    def _still_unknown(self) -> dict[str, Handoff]:
        """Those that are unknown still, by name; they are looked for once."""
        if self._unknown is None:
            self._unknown = {handoff.dispatch: handoff for handoff in self._found()}
            self._tried = {each for left in self._unknown.values() for each in self._tries(left)}
        return self._unknown

    def _found(self) -> list[Handoff]:
        """The handoffs of dispatches that the ledger does not know, oldest first."""
        folder = self._batch.keys.handoff("").removesuffix(".json")
        names = (k.removeprefix(folder).removesuffix(".json") for k in self._storage.list(folder))
        found = _READS.map(self._read, list(self._ledger.unknown(names)))
        ours = [handoff for handoff in found if handoff is not None]
        return sorted(ours, key=lambda handoff: handoff.sent.number if handoff.sent else 0)

    def _read(self, name: str) -> Handoff | None:
        """The handoff, if it is one of this batch's that says how it was sent."""
        try:
            handoff = read_handoff(self._storage.read(self._batch.keys.handoff(name)))
        except (BadInput, ObjectMissing) as error:
            self._log.warning("handoff passed over", dispatch=name, why=str(error))
            return None
        fits = (handoff.batch, handoff.dispatch) == (self._batch.name, name)
        return handoff if fits and handoff.sent and handoff.step in self._batch.step_names else None

    def _take_all(self, unknown: dict[str, Handoff], *, whole: bool) -> int:
        """Take over each that can be, in order; how many."""
        before = len(unknown)
        for name, handoff in list(unknown.items()):
            if self._take(handoff, whole=whole):
                del unknown[name]
                self._taken += 1
        return before - len(unknown)

    def _take(self, handoff: Handoff, *, whole: bool) -> bool:
        """Claim the attempts of a dispatch: all of them, or (not `whole`) those that are ready."""
        attempts = self._attempts(handoff)
        if not attempts or (whole and len(attempts) < len(handoff.items)):
            return False
        dispatch = self._dispatch(handoff)
        forgotten = self._was_sent(handoff) and self._find(dispatch) is None
        self._ledger.take_over(dispatch, attempts, forgotten=forgotten)
        self._log.info(
            "dispatch taken over",
            dispatch=handoff.dispatch,
            items=len(attempts),
            forgotten=forgotten,
        )
        return True

    def _was_sent(self, handoff: Handoff) -> bool:
        """Whether a worker has begun it, or it has ended, for certain: there is a later attempt."""
        later = ((item, step, number + 1) for item, step, number in self._tries(handoff))
        return not self._tried.isdisjoint(later) or any(
            self._storage.size(key) is not None
            for item in handoff.items
            for key in self._left_by(handoff, item)
        )

    def _left_by(self, handoff: Handoff, item: HandoffItem) -> tuple[str, str]:
        keys = self._batch.keys.attempt(item.item, handoff.step, item.attempt)
        return keys.begun, keys.outcome

    def _tries(self, handoff: Handoff) -> list[Try]:
        step = self._batch.step_names.index(handoff.step)
        return [(item.item, step, item.attempt) for item in handoff.items]

    def _attempts(self, handoff: Handoff) -> list[Attempt]:
        """Those of its attempts that are ready."""
        found = [self._ledger.ready_attempt(*each) for each in self._tries(handoff)]
        return [attempt for attempt in found if attempt is not None]

    def _dispatch(self, handoff: Handoff) -> Dispatch:
        assert handoff.sent is not None
        return Dispatch.claimed(
            number=handoff.sent.number,
            step=self._batch.step_names.index(handoff.step),
            name=handoff.dispatch,
            token=handoff.sent.token,
            memory_step=handoff.sent.memory_step,
            size=len(handoff.items),
            now=self._clock.now(),
        )

    def _finish(self, left: Collection[Handoff]) -> None:
        """What is left is of attempts that the ledger has ended in another way; it counts not."""
        for handoff in left:
            self._log.warning("dispatch passed over", dispatch=handoff.dispatch)
            if len(handoff.items) > 1:  # the number is in its name, so no other may have it
                self._ledger.pass_over(self._dispatch(handoff))
        self._ledger.close_gap(f"{self._taken} dispatches taken over, {len(left)} passed over")
        self.is_needed = False
