"""What lets a ledger move to another host: copies, a line of descent, and dispatches taken over."""

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from coordinator.domain.states import AttemptState
from coordinator.ledger.ledger import Ledger, _translated
from coordinator.ledger.redo import Finished, RedoDesk
from coordinator.ledger.rows import Attempt, Dispatch

_LINEAGE, _GAP = "lineage", "gap"
_CHUNK = 1_000  # names that are looked up together


class PortableLedger:
    """A ledger as something that is saved in one place and gone on with in another.

    It is the ledger's own other half, apart only so that each fits a screen.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def version(self) -> tuple[int, int]:
        """Changes whenever the ledger does, by this process or another."""
        return self._ledger._db.total_changes, self._ledger._rows("data_version")[0][0]

    def backup(self, target: Path) -> None:
        """Write a whole copy, as of now, to the file `target`. Raises LedgerError."""
        with _translated(target), closing(sqlite3.connect(target)) as copy:
            self._ledger._db.backup(copy)
            copy.execute(
                "PRAGMA journal_mode = DELETE"
            )  # one file, which readers need not write to

    @property
    def lineage(self) -> str:
        """Which host's run of the batch this is the ledger of; "" = it was never saved."""
        return self._values().get(_LINEAGE, "")

    @property
    def has_gap(self) -> bool:
        """Whether dispatches may be out that it does not know: it was restored from a copy."""
        return bool(self._values().get(_GAP))

    def begin_lineage(self, *, gap: bool) -> str:
        """From here on, the ledger is one of its own; its new lineage."""
        new = uuid.uuid4().hex
        with self._ledger._transaction():
            self._ledger._run("set_value", key=_LINEAGE, value=new)
            self._ledger._run("set_value", key=_GAP, value="1" if gap else "")
        return new

    def close_gap(self, why: str) -> None:
        """All dispatches that are out are known again."""
        with self._ledger._transaction():
            self._ledger._run("set_value", key=_GAP, value="")
            self._ledger._event("restored", why=why)

    def unknown(self, names: Iterable[str]) -> Iterator[str]:
        """Those of the names that no dispatch of this ledger has."""
        left = iter(names)
        while chunk := list(islice(left, _CHUNK)):
            rows = self._ledger._rows("dispatch_names", names=json.dumps(chunk))
            known = {row["name"] for row in rows}
            yield from (name for name in chunk if name not in known)

    def ready_attempt(self, item: str, step: int, number: int) -> Attempt | None:
        """The attempt of this very number, if it may be dispatched."""
        rows = self._ledger._rows("ready_exactly", item=item, step=step, number=number)
        return Attempt.of(rows[0]) if rows else None

    def take_over(
        self, dispatch: Dispatch, attempts: Sequence[Attempt], *, forgotten: bool = False
    ) -> None:
        """Claim these ready attempts for a dispatch that was claimed before, under its own token.

        What becomes of it then is what becomes of every claimed dispatch after a crash; but where
        it was sent and is `forgotten` by the cluster, it is out without a job.
        """
        with self._ledger._transaction():
            self._ledger._write_claims([dispatch], [attempts], why="taken over")
            if forgotten:
                self._ledger.move(dispatch, AttemptState.CLAIMED, AttemptState.SUBMITTED)

    def pass_over(self, dispatch: Dispatch) -> None:
        """Know of a dispatch that carries nothing: its number, name and token stay its own."""
        with self._ledger._transaction():
            self._ledger._write_claims([dispatch], [[]], why="passed over")
            self._ledger.end(dispatch, [], why="passed over")

    def reopen(self, attempts: Sequence[tuple[str, int, int]]) -> int:
        """Give items that have ended the round that these are of; how many.

        Args:
            attempts: item, step and number, oldest first; of each item the first counts that
                comes next after those of its step which are known.
        """
        first: dict[str, tuple[int, Finished]] = {}
        left = iter(attempts)
        while chunk := list(islice(left, _CHUNK)):
            for row in self._ledger._rows("next_of_finished", rows=json.dumps(chunk)):
                found = Finished(row["id"], row["seq"], row["round"])
                first.setdefault(row["id"], (row["step"], found))
        with self._ledger.together():
            for step in sorted({step for step, _ in first.values()}):
                items = [item for at, item in first.values() if at == step]
                RedoDesk(self._ledger).redo(items, step, f"{len(items)} items, as was done before")
        return len(first)

    def documents(self) -> Iterator[str]:
        """Every item as JSON, in list order."""
        with _translated(self._ledger.path):
            yield from (row["document"] for row in self._ledger._run("documents"))

    def _values(self) -> dict[str, str]:
        return {row["key"]: row["value"] for row in self._ledger._rows("values")}
