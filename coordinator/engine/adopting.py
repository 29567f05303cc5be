"""Closing the gap of a restored ledger: dispatches that were made after it was saved.

Each dispatch leaves a handoff in the output root before the cluster hears of it, and that names its
attempts, its number and its token. So a restored ledger learns of every dispatch that it does not
know, claims the same attempts for it, and then goes the way of every claimed dispatch after a
crash: looked up by its token, adopted or sent again under it. Nothing new is sent until all that
is known.
"""

import structlog

from coordinator.domain.handoff import Handoff, read_handoff
from coordinator.engine.batch import Batch
from coordinator.errors import BadInput, ObjectMissing
from coordinator.ledger import Attempt, Ledger, PortableLedger
from coordinator.parallel import Lanes
from coordinator.storage import Storage

_READS = Lanes(16)


class Adopter:
    """Takes over the dispatches of one batch that its ledger does not know."""

    def __init__(self, batch: Batch, ledger: Ledger, storage: Storage) -> None:
        self._batch, self._storage = batch, storage
        self._ledger = PortableLedger(ledger)
        self._log = structlog.get_logger().bind(batch=batch.name)
        self.is_needed = self._ledger.has_gap
        self._unknown: list[Handoff] | None = None
        self._taken = 0

    def adopt(self, *, idle: bool) -> int:
        """Take over what can be taken over by now; how many dispatches.

        A dispatch of a later attempt has to wait until the ledger knows how the one before ended.
        `idle`: nothing is out, so nothing more will be known than now.
        """
        if not self.is_needed:
            return 0
        if self._unknown is None:
            self._unknown = self._found()
        taken = [handoff for handoff in self._unknown if self._take(handoff, whole=True)]
        if not taken and idle:  # what the ledger came to differs from what had happened
            taken = [handoff for handoff in self._unknown if self._take(handoff, whole=False)]
        self._unknown = [handoff for handoff in self._unknown if handoff not in taken]
        self._taken += len(taken)
        if not self._unknown or (idle and not taken):
            self._finish(self._unknown)
        return len(taken)

    def _found(self) -> list[Handoff]:
        """The handoffs of dispatches that the ledger does not know, oldest first."""
        known = self._ledger.dispatch_names()
        folder = self._batch.keys.handoff("").removesuffix(".json")
        names = (k.removeprefix(folder).removesuffix(".json") for k in self._storage.list(folder))
        found = _READS.map(self._read, [name for name in names if name not in known])
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

    def _take(self, handoff: Handoff, *, whole: bool) -> bool:
        """Claim the attempts of a dispatch: all of them, or (not `whole`) those that are ready."""
        assert handoff.sent is not None
        attempts = self._attempts(handoff)
        if not attempts or (whole and len(attempts) < len(handoff.items)):
            return False
        sent = handoff.sent
        self._ledger.take_over(
            attempts,
            number=sent.number,
            name=handoff.dispatch,
            token=sent.token,
            memory_step=sent.memory_step,
        )
        self._log.info("dispatch taken over", dispatch=handoff.dispatch, items=len(attempts))
        return True

    def _attempts(self, handoff: Handoff) -> list[Attempt]:
        step = self._batch.step_names.index(handoff.step)
        found = [self._ledger.ready_attempt(i.item, step, i.attempt) for i in handoff.items]
        return [attempt for attempt in found if attempt is not None]

    def _finish(self, left: list[Handoff]) -> None:
        """What is left is of attempts that the ledger has ended in another way; it counts not."""
        for handoff in left:
            self._log.warning("dispatch passed over", dispatch=handoff.dispatch)
        self._ledger.close_gap(f"{self._taken} dispatches taken over, {len(left)} passed over")
        self.is_needed = False
