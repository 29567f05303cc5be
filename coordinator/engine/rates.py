"""How fast packs were worked off: measured as they come home, and kept in the ledger."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coordinator.domain.handoff import Outcome
from coordinator.ledger import Ledger

_KEY = "rates"
_START = 1.0  # seconds that a process takes before it loads anything
_LONGEST = 7 * 86_400.0  # seconds: what is longer is no measurement


class Ran(BaseModel):
    """One dispatch as its outcomes tell it; times are seconds since the epoch."""

    model_config = ConfigDict(frozen=True)

    items: int = Field(ge=1)
    tokens: int = Field(ge=0)  # of the items that succeeded
    load: float = Field(ge=0, le=_LONGEST, allow_inf_nan=False)  # seconds
    began_at: float = Field(allow_inf_nan=False)  # its first item
    ended_at: float = Field(allow_inf_nan=False)  # its last item


class Rate(BaseModel):
    """The dispatches of one step together; seconds."""

    model_config = ConfigDict(frozen=True)

    packs: int = Field(default=0, ge=0)
    items: int = Field(default=0, ge=0)
    tokens: int = Field(default=0, ge=0)
    load: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    work: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    first_at: float | None = None
    last_at: float | None = None

    def and_of(self, ran: Ran) -> Self:
        """These dispatches and one more."""
        began = ran.began_at - ran.load
        return self.model_copy(
            update={
                "packs": self.packs + 1,
                "items": self.items + ran.items,
                "tokens": self.tokens + ran.tokens,
                "load": self.load + ran.load,
                "work": self.work + ran.ended_at - ran.began_at,
                "first_at": min(began, began if self.first_at is None else self.first_at),
                "last_at": max(ran.ended_at, self.last_at or ran.ended_at),
            }
        )

    @property
    def is_known(self) -> bool:
        return self.tokens > 0 and self.work > 0

    @property
    def tokens_per_second(self) -> float:
        """Of one lane while it works; 0 = not known yet."""
        return self.tokens / self.work if self.is_known else 0.0

    @property
    def load_seconds(self) -> float:
        """What a dispatch takes before its first item."""
        return self.load / self.packs + _START if self.packs else 0.0

    @property
    def loading(self) -> float:
        """Tokens that could be worked off while a dispatch loads; 0 = not known yet."""
        return self.load_seconds * self.tokens_per_second


class Rates:
    """The rates of a batch's steps. Only the driver adds to them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._rates = ledger, rates_of(ledger.kept(_KEY))

    def of(self, step: str) -> Rate:
        return self._rates.get(step, Rate())

    def add(self, ran: Iterable[tuple[str, Ran]]) -> None:
        """Note dispatches, each with its step's name; they are in the ledger when this returns."""
        changed = dict(self._rates)
        for step, one in ran:
            changed[step] = changed.get(step, Rate()).and_of(one)
        if changed != self._rates:
            document = {name: rate.model_dump() for name, rate in changed.items()}
            self._ledger.keep(_KEY, document)
            self._rates = changed


def kept_rates(ledger: Ledger) -> Mapping[str, Rate]:
    """Step -> what was measured, as a ledger has it."""
    return rates_of(ledger.kept(_KEY))


def rates_of(document: Any) -> dict[str, Rate]:
    """Step -> rate; nothing where the document is none of ours: it only makes for better packs."""
    try:
        return {str(name): Rate.model_validate(rate) for name, rate in (document or {}).items()}
    except (ValidationError, AttributeError):
        return {}


def ran_of(dispatch: str, outcomes: Iterable[tuple[Outcome, int]]) -> Ran | None:
    """What a dispatch did, from its items' outcomes and costs.

    None where nothing came of it, which tells nothing of how fast it goes, or they cannot be right.
    """
    own = [(outcome, cost) for outcome, cost in outcomes if outcome.dispatch == dispatch]
    if all(outcome.status == "failed" for outcome, _ in own):
        return None
    loads = [outcome.facts.get("load_seconds", 0.0) for outcome, _ in own]
    began, ended = min(o.started_at for o, _ in own), max(o.ended_at for o, _ in own)
    try:
        ran = Ran(
            items=len(own),
            tokens=sum(cost for outcome, cost in own if outcome.status != "failed"),
            load=max(loads),
            began_at=began,
            ended_at=ended,
        )
    except (ValidationError, TypeError):
        return None
    return ran if 0 <= ended - began <= _LONGEST else None
