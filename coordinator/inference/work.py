"""What a model process is given to do: one request, and the sentences that it is about."""

from dataclasses import dataclass
from typing import Any, Literal

from coordinator.inference.backend import Output
from coordinator.inference.pool import Unit, cost

Lane = Literal["encode", "translate", "decode"]
LANES: tuple[Lane, ...] = ("encode", "translate", "decode")


@dataclass(eq=False)
class Work:
    """A request to a model process.

    Attributes:
        units: what it is about; an encode's are of one direction.
        outputs: what the model wrote for each; of a decode only.
        seconds: what translating took; of a decode only.
        alone: nothing else is given to the process meanwhile, so that it alone is to blame.
        shuns: the seat of a process that was lost with it; another one is better, if there is any.
        budget: what a batch might hold when this one was made; None = no limit.
    """

    lane: Lane
    units: list[Unit]
    outputs: list[Output] | None = None
    seconds: float = 0.0
    alone: bool = False
    shuns: int | None = None
    budget: int | None = None

    @property
    def cost(self) -> int:
        """In tokens, padding included; 0 before they are known."""
        return cost(self.units)

    def request(self) -> dict[str, Any]:
        """As it goes over the wire, but for its id."""
        if self.lane == "encode":
            source, target = self.units[0].direction
            texts = [unit.text for unit in self.units]
            return {"do": "encode", "texts": texts, "source": source, "target": target}
        if self.lane == "decode":
            outputs = [
                (output.tokens, output.data, output.truncated) for output in self.outputs or ()
            ]
            return {"do": "decode", "outputs": outputs}
        rows = [(u.row.tokens, u.row.data, u.row.truncated) for u in self.units if u.row]
        return {"do": "translate", "rows": rows, "folder": self.units[0].folder}

    def halves(self) -> list["Work"]:
        return self.cut(len(self.units) // 2)

    def cut(self, place: int) -> list["Work"]:
        return [self._part(slice(None, place)), self._part(slice(place, None))]

    def _part(self, part: slice) -> "Work":
        units = self.units[part]
        outputs = self.outputs[part] if self.outputs is not None else None
        seconds = self.seconds * len(units) / len(self.units)
        return Work(self.lane, units, outputs, seconds, budget=self.budget)
