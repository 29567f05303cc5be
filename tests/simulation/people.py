"""People who pause, stop and go on while a batch runs, each through a ledger of their own."""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from coordinator.clock import SimulatedClock
from coordinator.ledger import Asked, Control, ControlDesk, Ledger
from tests.simulation.plan import Order

Change = Callable[[Control], Control]


class People:
    """They act while the coordinator sleeps."""

    def __init__(
        self,
        orders: Sequence[Order],
        folder: Path,
        clock: SimulatedClock,
        tell: Callable[[str], None],
    ) -> None:
        self._orders, self._folder, self._clock, self._tell = list(orders), folder, clock, tell
        self._slept = 0
        self.given = 0
        self.stopped_items: set[str] = set()

    def act(self) -> None:
        """A sleep has begun."""
        self._slept += 1
        while self._orders and self._orders[0].sleeps <= self._slept:
            self._give(self._orders.pop(0))

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
