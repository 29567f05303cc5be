"""People who pause, stop and go on while a batch runs, each through a ledger of their own."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from coordinator.clock import SimulatedClock
from coordinator.domain.states import ItemState
from coordinator.engine import gate_of
from coordinator.ledger import Asked, Control, ControlDesk, Ledger, RedoDesk
from tests.simulation.plan import STEPS, Order, Redo

Change = Callable[[Control], Control]


class People:
    """They act while the coordinator sleeps."""

    def __init__(
        self,
        orders: Sequence[Order],
        redos: Sequence[Redo],
        folder: Path,
        clock: SimulatedClock,
        tell: Callable[[str], None],
    ) -> None:
        self._orders, self._folder, self._clock, self._tell = list(orders), folder, clock, tell
        self._redos = list(redos)
        self._slept = 0
        self.given = 0
        self.stopped_items: set[str] = set()
        self.redone: Counter[str] = Counter()  # item -> how often it was begun again

    def act(self) -> None:
        """A sleep has begun."""
        self._slept += 1
        while self._orders and self._orders[0].sleeps <= self._slept:
            self._give(self._orders.pop(0))

    @property
    def want_more(self) -> bool:
        return bool(self._redos)

    def look_at_the_results(self) -> None:
        """The batch is finished: what they want next is due."""
        self._redos[0] = replace(self._redos[0], life=0)

    def ask_again(self, ledger: Ledger, life: int) -> None:
        """A life begins, as `rescore` and `rerun` begin one: with its lock, and before all else."""
        desk = RedoDesk(ledger)
        while self._redos and self._redos[0].life <= life:
            wanted = self._redos[0]
            items = list(desk.finished(wanted.step, wanted.items))
            self._tell(f">>> somebody wants {STEPS[wanted.step]} again of {len(items)} items")
            before = {item.id: item.round for item in items}
            try:
                desk.redo(items, wanted.step, "by somebody")
            finally:  # one who died after the commit did it all the same
                rounds = {i.id: i.round for i in ledger.items(*ItemState)}
                self.redone.update(i for i, n in before.items() if rounds[i] > n)
            self._redos.pop(0)

    def lift_the_gate(self, ledger: Ledger, canaries: int) -> None:
        """Canaries have failed: a life begins with `--canary 0`, as it has to."""
        asked = ledger.record().get("canary", canaries)
        if gate_of(ledger, "mine", asked).failed:
            self._tell(">>> somebody goes on without canaries")
            desk = ControlDesk(ledger)
            desk.change_record(lambda now: {**now, "canary": 0}, "canaries lifted", "by somebody")

    def _give(self, order: Order) -> None:
        self.given += 1
        self._tell(f">>> somebody asks: {order.what} {' '.join(order.items)}")
        asked = Asked(by="somebody", at=self._clock.now())
        self.stopped_items.update(order.items)
        changes: dict[str, tuple[str, Change]] = {
            "pause": ("pause asked", lambda now: now.changed(paused=asked)),
            "go on": ("pause lifted", lambda now: now.changed(paused=None)),
            "stop": ("stop asked", lambda now: now.changed(stop=asked)),
            "stop now": ("stop now asked", lambda now: now.changed(stop=asked, now=True)),
            "stop items": (
                "stop asked",
                lambda now: now.changed(items=tuple(dict.fromkeys((*now.items, *order.items)))),
            ),
        }
        action, change = changes[order.what]
        with closing(Ledger.open(self._folder, self._clock)) as ledger:
            ControlDesk(ledger).ask(change, action, "by somebody")
