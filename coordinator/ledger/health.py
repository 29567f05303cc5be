"""Whether a ledger is whole: looked at before it is driven, and before it is given up."""

import json
from collections.abc import Iterable

from coordinator.domain.states import OUT, AttemptState, FailureKind, ItemState
from coordinator.domain.verdicts import StopReason
from coordinator.ledger.ledger import Ledger, _damaged

# A look takes about a second for each 100 MB. Of a larger ledger only what is read is checked.
MOST_BYTES = 64 << 20
_PERMITTED: dict[str, Iterable[str]] = {
    "items": ItemState,
    "attempts": AttemptState,
    "out": OUT,
    "kinds": FailureKind,
    "reasons": StopReason,
}
_WORDS = {name: json.dumps(list(words)) for name, words in _PERMITTED.items()}


def refuse_damage(ledger: Ledger, most_bytes: int = MOST_BYTES) -> None:
    """Look all of it through: pages, indexes, states, and counts that must agree.

    Raises:
        LedgerError: it is damaged.
    """
    if ledger.path.stat().st_size <= most_bytes and (why := _damage(ledger)):
        raise _damaged(ledger.path, why)


def _damage(ledger: Ledger) -> str:
    found = str(ledger._rows("integrity")[0][0])
    if found != "ok":
        return " ".join(found.split())[:200]
    for table, word in ledger._rows("strange_words", **_WORDS):
        return f"{table} holds {str(word)[:40]!r}"
    if ledger._rows("wrong_counts", out=_WORDS["out"]):
        return "its counts and its rows do not agree"
    return ""
