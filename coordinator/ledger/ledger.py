"""The ledger: every state of a batch and how it came to it, in one SQLite file.

A move names the state it expects; a row that is not in it raises StaleMove and nothing is changed.
A move, what follows from it and its event are one transaction.
"""

import json
import os
import re
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from coordinator.clock import Clock
from coordinator.domain.handoff import FileRecord
from coordinator.domain.items import WorkItem
from coordinator.domain.states import ENDED, MOVES, OUT, AttemptState, ItemState
from coordinator.errors import BatchExists, BatchMissing, LedgerError, StaleMove
from coordinator.ledger.ends import (
    DispatchEnd,
    advanced_items,
    ended_attempts,
    ended_dispatches,
    events_of_ends,
    finished_items,
    new_attempts,
)
from coordinator.ledger.holders import who_locks
from coordinator.ledger.lock import driver_lock
from coordinator.ledger.mark import HighWater, put_in_place
from coordinator.ledger.rows import (
    Attempt,
    AttemptEnd,
    Dispatch,
    Event,
    ItemCost,
    ItemRow,
    Tally,
    files_of,
    tally_of,
)

VERSION = 3
FILE = "ledger.db"
_BUSY_SECONDS = 60.0
_CHUNK = 5_000  # items that are written or asked for together; bounds memory
_FILLING_KIB = 64_000  # of memory while a new one is written, for ids in no order
_NOTES_BACK = 200_000  # events that are looked back through: a twentieth of a second
_LARGEST_WAL = 64 << 20  # bytes that it is cut back to: a slow reader may have made it grow


def _named_queries() -> dict[str, str]:
    text = resources.files(__package__).joinpath("queries.sql").read_text()
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


SQL = _named_queries()


class Ledger:
    """One batch's ledger. Made by `create` or `open`, closed by `close`."""

    DURABILITY: ClassVar[tuple[str, ...]] = ("journal_mode = WAL", "synchronous = FULL")

    def __init__(self, path: Path, clock: Clock, *, read_only: bool = False) -> None:
        self.path, self._clock = path, clock
        self._mark = HighWater(path, read_only=read_only)
        uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        self._db = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        if not read_only:
            for pragma in self.DURABILITY:
                self._db.execute(f"PRAGMA {pragma}")
            self._db.execute(f"PRAGMA journal_size_limit = {_LARGEST_WAL}")

    @classmethod
    def create(
        cls,
        folder: Path,
        clock: Clock,
        record: dict[str, Any],
        items: Iterable[tuple[WorkItem, str]],
    ) -> "Ledger":
        """A new ledger in `folder` with one ready attempt for each (item, sort key).

        It is built beside its place and renamed, so that it is there whole or not at all.

        Raises:
            BatchExists: `folder` holds a ledger.
            BatchBusy: another process makes or drives one there.
            LedgerError: it cannot be written.
        """
        path = folder / FILE
        with _translated(path):
            folder.mkdir(parents=True, exist_ok=True)
            with driver_lock(folder, folder.name):
                if path.exists():
                    raise BatchExists(f"{folder.name} was submitted before", hint="give --resume")
                cls._build(path, clock, record, items)
        return cls.open(folder, clock)

    @classmethod
    def open(cls, folder: Path, clock: Clock, *, read_only: bool = False) -> "Ledger":
        """The ledger in `folder`.

        Raises:
            BatchMissing: there is none.
            LedgerError: it is damaged, or was written by a newer version.
        """
        path = folder / FILE
        if not path.exists():
            raise BatchMissing(
                f"no batch {folder.name} is known here",
                why=f"{path} is not there",
                hint="coordinator ls lists those that are",
            )
        return cls.at(path, clock, read_only=read_only)

    @classmethod
    def at(cls, path: Path, clock: Clock, *, read_only: bool = False) -> "Ledger":
        """The ledger in the file `path`, which is there. Raises LedgerError as `open` does."""
        with _translated(path):
            ledger = cls(path, clock, read_only=read_only)
            try:
                ledger._check_version()
                ledger._check_moves()
                if not read_only:
                    ledger._upgrade()
            except LedgerError:
                ledger.close()
                raise
        return ledger

    def close(self) -> None:
        self._db.close()
        self._mark.close()

    # what there is

    def record(self) -> dict[str, Any]:
        """What was asked for when the batch was submitted."""
        try:
            document: dict[str, Any] = json.loads(self._value("record"))
        except ValueError as error:
            raise _damaged(self.path, f"its record: {error}") from error
        return document

    def kept(self, key: str) -> Any:
        """The document that was kept under this name, or None."""
        values = {row["key"]: row["value"] for row in self._rows("values")}
        try:
            return json.loads(values[key]) if key in values else None
        except ValueError as error:
            raise _damaged(self.path, f"its {key}: {error}") from error

    def keep(self, key: str, document: Any) -> None:
        """Keep a small document of the batch as a whole, in place of the one before."""
        with self._transaction():
            self._run("set_value", key=key, value=json.dumps(document))

    def costs(self) -> Iterator[ItemCost]:
        """What each item costs, in list order; 1 each in a ledger of an earlier format."""
        name = "costs" if self._rows("has_cost") else "costs_before"
        return (ItemCost(r["cost"], r["step"], bool(r["is_left"])) for r in self._each(name))

    def tally(self) -> Tally:
        return tally_of(self._rows("item_tally"), self._rows("attempt_tally"))

    def out(self) -> list[Dispatch]:
        """The dispatches that have not ended, oldest first."""
        return [Dispatch.of(row) for row in self._rows("dispatches_out")]

    def dispatch(self, number: int) -> Dispatch:
        """A dispatch of this ledger, whatever became of it."""
        return Dispatch.of(self._rows("dispatch", id=number)[0])

    def out_count(self) -> int:
        """How many dispatches have not ended."""
        count: int = self._rows("out_count")[0][0]
        return count

    def out_by_step(self) -> dict[int, int]:
        """Step -> how many of its dispatches have not ended."""
        return {row["step"]: row["n"] for row in self._rows("out_by_step")}

    def attempts_of(self, dispatch: Dispatch) -> list[Attempt]:
        return [Attempt.of(row) for row in self._rows("attempts_of_dispatch", dispatch=dispatch.id)]

    def ready(
        self, step: int, *, fresh: bool, limit: int, first: int | None = None
    ) -> list[Attempt]:
        """Attempts that may be dispatched together: of one step and memory size.

        `first`: only of so many items, from the top of the list; None = of all.
        """
        of = "" if first is None else "_of_first"
        when = {"step": step, "fresh": int(fresh), "now": self._clock.now(), "first": first}
        smallest = self._rows(f"first_memory_step{of}", **when) if limit > 0 else []
        if not smallest:
            return []
        found = self._rows(f"ready{of}", memory_step=smallest[0][0], limit=limit, **when)
        return [Attempt.of(row) for row in found]

    def states_of_first(self, count: int) -> dict[ItemState, int]:
        """State -> how many of the first `count` items of the list are in it."""
        rows = self._rows("states_of_first", first=count)
        return {ItemState(row["state"]): row["n"] for row in rows}

    def winners(self, attempt: Attempt) -> dict[int, tuple[int, dict[str, str]]]:
        """The newest success of each step before: step -> (attempt number, file name -> sha256)."""
        return {
            row["step"]: (row["number"], {f.name: f.sha256 for f in files_of(row["files"])})
            for row in self._rows("winners", item=attempt.seq, step=attempt.step)
        }

    def published(self, item_id: str) -> dict[str, FileRecord]:
        """File name -> the file as the item's last step that left one of that name did.

        What a step left before an earlier one was done again is out of date, and is not among them.
        """
        rows = self._rows("published", id=item_id)
        return {file.name: file for row in rows for file in files_of(row["files"])}

    def replaced_by(self, attempt: Attempt) -> frozenset[str]:
        """Names of the files that are out of date if this attempt succeeds: of its step on."""
        if attempt.round == 1:
            return frozenset()
        rows = self._rows("files_replaced", item=attempt.seq, step=attempt.step, attempt=attempt.id)
        return frozenset(file.name for row in rows for file in files_of(row["files"]))

    def failures(self, attempt: Attempt) -> dict[str, int]:
        """Kind -> how often this item failed so at this step since it was last (re)submitted."""
        rows = self._rows(
            "failures_of_round", item=attempt.seq, step=attempt.step, round=attempt.round
        )
        return {row["kind"]: row["n"] for row in rows}

    def items(self, *states: ItemState) -> Iterator[ItemRow]:
        """Items in these states, in list order, read as they are asked for."""
        return map(ItemRow.of, self._each("items_ended", states=json.dumps(states)))

    def item_ids(self) -> Iterator[str]:
        """All of them, in list order, read as they are asked for."""
        return (row["id"] for row in self._each("item_ids"))

    def ids_around(self, word: str, count: int = 500) -> list[str]:
        """The ids that stand around `word` by the alphabet: `count` before it, and after it."""
        rows = (self._rows(name, word=word, limit=count) for name in ("ids_before", "ids_from"))
        return [row["id"] for part in rows for row in part]

    def known_ids(self, ids: Iterable[str]) -> set[str]:
        """Those of the ids that the batch has."""
        return {row["id"] for row in self._rows("known_ids", ids=json.dumps(list(ids)))}

    def states_of(self, ids: Iterable[str]) -> dict[str, ItemState]:
        """Where each of these items stands; what the batch does not have is left out."""
        rows = self._rows("states_of", ids=json.dumps(list(ids)))
        return {row["id"]: ItemState(row["state"]) for row in rows}

    def history(self, item_id: str) -> list[dict[str, Any]]:
        """Every attempt of an item, oldest first."""
        return [dict(row) for row in self._rows("item_history", id=item_id)]

    def item(self, item_id: str) -> WorkItem | None:
        """The item as the batch has it, or None: an address that was secret is set aside."""
        rows = self._rows("document_of", id=item_id)
        return WorkItem.from_json(json.loads(rows[0]["document"])) if rows else None

    def state_of(self, item_id: str) -> ItemState:
        """The state of an item that the batch has."""
        return ItemState(self._rows("state_of", id=item_id)[0]["state"])

    def ready_before(self, attempt: int) -> int:
        """How many ready attempts go before this one, by the order in which they are sent."""
        rows = self._rows("ready_before", attempt=attempt, now=self._clock.now())
        count: int = rows[0][0]
        return count

    def last_note(self, *actions: str) -> Event | None:
        """The newest event with one of these actions, among the many newest of all."""
        rows = self._rows("last_note", actions=json.dumps(actions), most=_NOTES_BACK)
        return Event.of(rows[0]) if rows else None

    def events(self) -> Iterator[Event]:
        return map(Event.of, self._each("events"))

    def moments(self) -> Iterator[Event]:
        """The events of the batch as a whole, oldest first: pauses, starts, stops."""
        return map(Event.of, self._each("moments"))

    def newest_events(self, limit: int) -> Iterator[Event]:
        """So many of the newest, oldest first."""
        return map(Event.of, self._each("newest_events", limit=limit))

    def events_after(self, number: int, *actions: str) -> Iterator[Event]:
        """Those of these actions that came after event `number`, oldest first."""
        rows = self._each("events_after", id=number, actions=json.dumps(actions))
        return map(Event.of, rows)

    def last_event_at(self) -> float:
        """When anything was last written; seconds since the epoch, 0 = never."""
        rows = self._rows("last_event_at")
        return float(rows[0]["at"]) if rows else 0.0

    def pace(self, after: float) -> dict[int, tuple[int, float]]:
        """Step -> how many items did it in dispatches that ended after then, and since when."""
        return {row["step"]: (row["n"], row["since"]) for row in self._rows("pace", after=after)}

    def failed_example(self, kind: str) -> tuple[str, str]:
        """An item that failed so, and why; ("", "") = there is none."""
        for row in self._rows("failed_example", kind=kind):
            return row["id"], row["reason"] or ""
        return "", ""

    def was_paused(self) -> bool:
        rows = self._rows("last_pause")
        return bool(rows) and rows[0]["action"] == "paused"

    def purgeable(self, *, include_running: bool) -> list[Dispatch]:
        """Dispatches that the cluster may still know."""
        return [Dispatch.of(row) for row in self._rows("purgeable", running=int(include_running))]

    # moves

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make one transaction of the moves within: at its end all are durable, or none is."""
        with self._transaction():
            yield

    def claim(
        self,
        packs: Sequence[Sequence[Attempt]],
        name_of: Callable[[Sequence[Attempt], int], str],
    ) -> list[Dispatch]:
        """Make one dispatch of each pack; all are durable before the cluster hears of any.

        A few statements for all of them: each statement lets other threads in, and waits for them.

        Args:
            packs: ready attempts; those of one pack are of one step and memory size.
            name_of: the job's name from the pack and the dispatch's number.
        """
        with self._transaction():
            now, first = self._clock.now(), self._rows("next_dispatch")[0][0]
            claimed = [
                Dispatch.claimed(
                    number=number,
                    step=pack[0].step,
                    name=name_of(pack, number),
                    token=uuid.uuid4().hex,
                    memory_step=pack[0].memory_step,
                    size=len(pack),
                    now=now,
                )
                for number, pack in enumerate(packs, first)
            ]
            self._write_claims(claimed, packs)
        return claimed

    def _write_claims(
        self, claimed: Sequence[Dispatch], packs: Sequence[Sequence[Attempt]], why: str = ""
    ) -> None:
        rows = [[d.id, d.step, d.name, d.token, d.memory_step, d.claimed_at] for d in claimed]
        of_attempts = [
            [attempt.id, dispatch.id]
            for dispatch, pack in zip(claimed, packs, strict=True)
            for attempt in pack
        ]
        dispatches, attempts = json.dumps(rows), json.dumps(of_attempts)
        self._run("add_dispatches", dispatches=dispatches)
        self._guarded("claim_attempts", len(of_attempts), attempts=attempts)
        self._run("start_items", attempts=attempts)
        self._run("record_claims", dispatches=dispatches, why=why)

    def move(
        self, dispatch: Dispatch, old: AttemptState, new: AttemptState, job_id: str | None = None
    ) -> None:
        """Move a dispatch that goes on, and all its attempts, from `old` to `new`."""
        self.move_all([(dispatch, job_id)], old, new)

    def move_all(
        self,
        dispatches: Sequence[tuple[Dispatch, str | None]],
        old: AttemptState,
        new: AttemptState,
    ) -> None:
        """Move many, each with the job's id that is known from now on; None = as before.

        A few statements for all of them: each statement lets other threads in, and waits for them.
        """
        _permit(old, new, OUT)
        if not dispatches:
            return
        moved = json.dumps([(dispatch.id, job_id) for dispatch, job_id in dispatches])
        values = {"moved": moved, "old": old, "new": new}
        with self._transaction():
            now = self._clock.now()
            self._guarded("move_dispatches", len(dispatches), now=now, **values)
            self._run("move_attempts_of_dispatches", **values)
            self._run("record_moves", now=now, **values)

    def end(self, dispatch: Dispatch, ends: Iterable[AttemptEnd], why: str = "") -> None:
        """End a dispatch: every one of its attempts, and what follows from each."""
        self.end_all([DispatchEnd(dispatch, tuple(ends), why)])

    def end_all(self, ended: Sequence[DispatchEnd]) -> None:
        """End many dispatches, all of them or none.

        A few statements for all of them: each statement lets other threads in, and waits for them.
        """
        if not ended:
            return
        for one in ended:
            for end in one.ends:
                _permit(one.state, end.state, ENDED)
        with self._transaction():
            now = self._clock.now()
            self._guarded_all("end_attempts", ended_attempts(ended))
            self._refuse_left_behind(ended)
            self._guarded_all("finish_items", finished_items(ended))
            self._guarded_all("advance_items", advanced_items(ended))
            self._run("add_attempts", rows=json.dumps(new_attempts(ended, now)))
            self._guarded_all("end_dispatches", ended_dispatches(ended), now=now)
            self._run("record_events", rows=json.dumps(events_of_ends(ended)), at=now)

    def _refuse_left_behind(self, ended: Sequence[DispatchEnd]) -> None:
        numbers = json.dumps([one.dispatch.id for one in ended])
        for row in self._rows("left_behind", dispatches=numbers):
            raise StaleMove(f"{row['n']} attempts of {row['name']} would be left without an end")

    def set_stop_reason(self, dispatch: Dispatch, reason: str) -> None:
        """Remember why a job is stopped, before the cluster is asked; the first reason stays."""
        with self._transaction():
            self._run("set_stop_reason", dispatch=dispatch.id, reason=reason)
            self._event("stopping", dispatch=dispatch.id, why=reason)

    def set_nodes(self, nodes: Mapping[int, str]) -> None:
        """Remember where dispatches (by their numbers) run, for whoever looks on."""
        with self._transaction():
            self._run("set_nodes", rows=json.dumps([*nodes.items()]))

    def reopen(self, items: Iterable[ItemRow]) -> int:
        """Give failed or stopped items another round, at the step where they stand; how many."""
        left, count = (item.seq for item in items), 0
        with self._transaction():
            while chunk := list(islice(left, _CHUNK)):
                self._guarded_all("reopen_items", chunk)
                self._run("add_reopened", rows=json.dumps(chunk))
                count += len(chunk)
            self._event("resubmitted", why=f"{count} items")
        return count

    def mark_purged(self, dispatches: Iterable[Dispatch]) -> None:
        rows = json.dumps([dispatch.id for dispatch in dispatches])
        with self._transaction():
            self._run("mark_purged", rows=rows)
            self._run("record_purged", rows=rows, at=self._clock.now())

    def set_record(self, record: dict[str, Any]) -> None:
        with self._transaction():
            self._run("set_value", key="record", value=json.dumps(record))

    def note(self, action: str, why: str = "") -> None:
        """An event of the batch as a whole: paused, resumed, started, left."""
        with self._transaction():
            self._event(action, why=why)

    # inside

    @classmethod
    def _build(
        cls,
        path: Path,
        clock: Clock,
        record: dict[str, Any],
        items: Iterable[tuple[WorkItem, str]],
    ) -> None:
        aside = path.with_suffix(".new")
        for old in path.parent.glob(f"{aside.name}*"):
            old.unlink()
        ledger = cls(aside, clock)
        try:
            ledger._fill(record, items)
        finally:
            ledger.close()
        _to_disk(aside)
        put_in_place(aside, path)

    def _fill(self, record: dict[str, Any], items: Iterable[tuple[WorkItem, str]]) -> None:
        """Write it all, as fast as may be: what a crash leaves of it is thrown away."""
        self._db.execute("PRAGMA journal_mode = MEMORY")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(f"PRAGMA cache_size = -{_FILLING_KIB}")
        self._db.executescript(resources.files(__package__).joinpath("schema.sql").read_text())
        with self._transaction():
            self._count_attempts()
            self._run("set_value", key="version", value=str(VERSION))
            self._run("set_value", key="record", value=json.dumps(record))
            rows = map(_new_item, enumerate(items))
            while chunk := list(islice(rows, _CHUNK)):
                self._db.executemany(SQL["add_item"], chunk)
                self._db.executemany(SQL["add_first_attempt"], chunk)
            self._event("submitted", why=f"{record.get('items', '')} items")

    def _event(
        self,
        action: str,
        *,
        dispatch: int | None = None,
        attempt: int | None = None,
        old: str | None = None,
        new: str | None = None,
        why: str = "",
    ) -> None:
        self._run(
            "record_event",
            at=self._clock.now(),
            action=action,
            dispatch=dispatch,
            attempt=attempt,
            old=old,
            new=new,
            why=why,
        )

    def _guarded(self, name: str, rows: int = 1, /, **values: Any) -> None:
        """Run an update that must change exactly so many rows."""
        changed = self._run(name, **values).rowcount
        if changed != rows:
            raise StaleMove(
                f"{name} of {str(values)[:500]} found {changed} rows",
                why="the row was not in the state that the move expected",
                hint="another process may drive this batch; nothing was changed",
            )

    def _guarded_all(self, name: str, rows: Sequence[object], /, **values: Any) -> None:
        """Run an update that must change one row for each of these."""
        if rows:
            self._guarded(name, len(rows), rows=json.dumps(rows), **values)

    def _run(self, name: str, /, **values: Any) -> sqlite3.Cursor:
        return self._db.execute(SQL[name], values)

    def _rows(self, name: str, /, **values: Any) -> list[sqlite3.Row]:
        with _translated(self.path):
            return self._run(name, **values).fetchall()

    def _each(self, name: str, /, **values: Any) -> Iterator[sqlite3.Row]:
        """Rows as they are asked for: there may be millions."""
        with _translated(self.path):
            yield from self._run(name, **values)

    def _value(self, key: str) -> str:
        values = {row["key"]: row["value"] for row in self._rows("values")}
        if key not in values:
            raise _damaged(self.path, f"it has no {key}")
        return str(values[key])

    def _check_version(self) -> None:
        if not self._rows("is_ledger"):
            raise _damaged(self.path, "it is no ledger of a batch")
        text = self._value("version")
        version = int(text) if text.isdecimal() else 0
        if not version:
            raise _damaged(self.path, f"its version is {text[:40]!r}")
        if version > VERSION:
            raise LedgerError(
                f"{self.path} was written by a newer coordinator (format {version})",
                hint=f"this one knows format {VERSION}; upgrade it",
            )

    def _check_moves(self) -> None:
        """Whether every move is there that was ever committed."""
        marked, last = self._mark.seen, self._last_event()
        if last < marked:
            why = f"moves are missing that were committed: {marked} were seen, {last} are left"
            raise _damaged(self.path, why)

    def _last_event(self) -> int:
        last: int = self._rows("last_event")[0][0]
        return last

    def _upgrade(self) -> None:
        """Bring a ledger of format 1 or 2 to format 3.

        Since 2, dispatches know their node, and pauses are found. Since 3, items have a cost; in
        older ledgers that of each is 1.
        """
        if int(self._value("version")) == VERSION:
            return
        with self._transaction():
            if not self._run("has_node").fetchone():
                self._run("add_node")
            self._run("add_pauses")
            if not self._run("has_cost").fetchone():
                self._add_costs()
            self._run("set_value", key="version", value=str(VERSION))

    def _add_costs(self) -> None:
        for name in ("add_cost", "add_cost_tally", "fill_cost_tally", "drop_added", "drop_moved"):
            self._run(name)
        self._count_attempts()

    def _count_attempts(self) -> None:
        """From here on, a change of an attempt changes the counts too."""
        self._run("count_added")
        self._run("count_moved")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        is_part = self._db.in_transaction  # of a larger one
        if is_part:
            yield
            return
        with _translated(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                last = self._last_event()
                self._db.execute("COMMIT")
                self._mark.see(last)
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _new_item(numbered: tuple[int, tuple[WorkItem, str]]) -> dict[str, object]:
    seq, (item, sort_key) = numbered
    document = json.dumps(item.to_json(), ensure_ascii=False)
    return {
        "seq": seq,
        "id": item.id,
        "document": document,
        "sort_key": sort_key,
        "cost": item.cost,
    }


def _to_disk(path: Path) -> None:
    """Wait until what is in a file, or which names a folder has, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _permit(old: AttemptState, new: AttemptState, among: frozenset[AttemptState]) -> None:
    if new not in MOVES[old] & among:
        raise StaleMove(f"an attempt cannot move from {old} to {new} so")


def _damaged(path: Path, why: str) -> LedgerError:
    return LedgerError(
        f"the ledger {path} is damaged",
        why=why,
        hint=f"coordinator rebuild-ledger {path.parent.name} makes a new one from what is left",
    )


# What SQLite says where a file cannot be used just now; all else that it says is about its content.
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _in_words(path, error) from error
    except UnicodeDecodeError as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        raise LedgerError(
            f"the ledger {path} cannot be written",
            why=str(error),
            hint="check the disk, and the rights to the folder",
        ) from error


def _in_words(path: Path, error: sqlite3.Error) -> LedgerError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without its finer distinctions
    if code not in _PASSING:
        return _damaged(path, str(error))
    who = who_locks(path) if code in _HELD else ""
    return LedgerError(
        f"the ledger {path} cannot be used",
        why=f"{error}: by {who}" if who else str(error),
        hint="free the disk, or end the program that holds it; then --resume",
    )
