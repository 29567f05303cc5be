"""`tensorboard`: the curves of a batch, gathered as it goes, for that program to show."""

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.board import board, free_port
from coordinator.commands.curves import USUAL, Collected, Collector, Word, collecting_folder
from coordinator.commands.record import BatchRecord, record_of
from coordinator.commands.status import open_ledger
from coordinator.commands.unknown import no_item
from coordinator.domain.names import JobName
from coordinator.domain.paths import BatchKeys
from coordinator.domain.states import FINISHED_ITEMS
from coordinator.domain.usage import MAX_BYTES, parse_series
from coordinator.errors import BadInput, BatchMissing, CoordinatorError, UsageError
from coordinator.ledger import Ledger
from coordinator.reports.diagnostics import MOST, Diagnostics
from coordinator.settings import Settings
from coordinator.storage import Storage, open_storage

FOLDER = Path("local-tensorboard")
_SECONDS = 5.0  # between two rounds
_FAREWELL = 10.0  # for the last one, where a batch has ended

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What is to be gathered. `items`: only these; None = all."""

    settings: Settings
    batch: str
    clock: Clock
    folder: Path
    words: Collection[Word] = USUAL
    items: Collection[str] | None = None


@dataclass(frozen=True)
class Round:
    """What a round found."""

    collected: Collected
    diagnostics: int  # dispatches whose use is among it
    is_finished: bool  # the batch is

    @property
    def line(self) -> str:
        """In words, for whoever waits for curves."""
        found = self.collected
        parts = [f"{len(found.runs):,} runs" if len(found.runs) != 1 else "1 run"]
        if self.diagnostics:
            parts.append(f"what {self.diagnostics:,} dispatches used, as Diagnostics")
        if found.left_out:
            parts.append(f"{found.left_out:,} more left out: name some with --items")
        if found.is_full:
            parts.append("the folder is full: curves stand still")
        return ", ".join(parts)


def folder_for(batch: str, given: Path | None) -> Path:
    return given or FOLDER / batch


class Gathering:
    """Rounds over one batch."""

    def __init__(self, asked: Asked, say: Tell) -> None:
        """Raises BatchMissing; BadInput for items that the batch does not have."""
        self._asked = asked
        with self._ledger() as ledger:
            record = record_of(ledger)
            if asked.items is not None:
                _refuse_unknown(ledger, record, asked.items)
        self._storage = open_storage(record.output_root)
        self._collector = Collector(
            self._storage, record.batch, record.steps, asked.folder, asked.words, asked.items
        )
        self._use = _Use(self._storage, record.batch, asked.folder, say)

    def round(self) -> Round:
        """Raises StorageError, CredentialsError, LedgerError: another round may do better."""
        with self._ledger() as ledger:
            is_finished = ledger.tally().items.keys() <= FINISHED_ITEMS
            found = self._collector.found()
            states = ledger.states_of(found)
        try:
            collected = self._collector.round(found, states)
            self._use.gather()
        except OSError as error:
            raise UsageError(
                f"{self._asked.folder} cannot be written",
                why=error.strerror or str(error),
                hint="make room there, or name another: --logdir FOLDER",
            ) from error
        return Round(collected, self._use.count, is_finished)

    def close(self) -> None:
        self._use.close()

    @contextmanager
    def _ledger(self) -> Iterator[Ledger]:
        asked = self._asked
        with closing(open_ledger(asked.settings, asked.batch, asked.clock)) as ledger:
            yield ledger


def _refuse_unknown(ledger: Ledger, record: BatchRecord, items: Collection[str]) -> None:
    for item in sorted(set(items) - ledger.known_ids(items)):
        raise no_item(ledger, record.batch, item)


@dataclass
class _Use:
    """What dispatches use, where that is measured: from the store, while they run too."""

    storage: Storage
    batch: str
    folder: Path
    say: Tell
    _sizes: dict[str, int] = field(default_factory=dict)  # key -> bytes that were read
    _written: Diagnostics | None = None
    _is_possible: bool = True

    @property
    def count(self) -> int:
        return self._written.count if self._written else 0

    def gather(self) -> None:
        keys = BatchKeys(self.batch).usages
        for key in list(self.storage.list(keys))[:MOST] if self._is_possible else ():
            size = self.storage.size(key)
            name = JobName.parse(dispatch := key.removeprefix(keys).removesuffix(".csv"))
            if name and size and size <= MAX_BYTES and size != self._sizes.get(key):
                self._add(name.unit.partition(".")[0], dispatch, self.storage.read(key))
                self._sizes[key] = size
        if self._written:
            self._written.flush()

    def close(self) -> None:
        if self._written:
            self._written.__exit__()

    def _add(self, step: str, dispatch: str, data: bytes) -> None:
        try:
            self._written = self._written or Diagnostics(self.folder)
        except UsageError as error:  # the curves of items are there all the same
            self._is_possible = False
            self.say(f"what jobs used is left out: {error.why}; {error.hint}")
            return
        with suppress(BadInput):
            self._written.add(step, dispatch, parse_series(data))


def gather(
    asked: Asked,
    say: Tell,
    on_round: Callable[[Round], None],
    *,
    until_finished: bool,
    stop: threading.Event,
) -> Round:
    """Round after round until `stop`, or until the batch is finished; the last round.

    After `stop` there is one more, for what has come since the one before.

    Raises:
        BatchMissing, BadInput, UsageError, StorageError, CredentialsError: at its first round;
            later ones that fail are told, and tried again.
    """
    gathering = Gathering(asked, say)
    try:
        latest, is_last = gathering.round(), False
        on_round(latest)
        while not is_last and not (until_finished and latest.is_finished):
            is_last = stop.wait(_SECONDS)
            with _told(say):
                latest = gathering.round()
                on_round(latest)
        return latest
    finally:
        gathering.close()


@contextmanager
def _told(say: Tell) -> Iterator[None]:
    try:
        yield
    except CoordinatorError as error:
        say(f"curves stand still: {error}")


@contextmanager
def beside(asked: Asked, host: str, port: int, say: Tell) -> Iterator[None]:
    """TensorBoard over a batch that is about to be driven, and ends with that.

    Raises:
        UsageError: at once, where it cannot be had; what goes wrong later is told, and stops
            nothing.
    """
    batch_folder(asked.settings, asked.batch)  # a name that cannot be one makes no folder
    port, stop = free_port(host, port), threading.Event()
    with collecting_folder(asked.folder, asked.batch):
        threads = [
            threading.Thread(target=_show, args=(asked.folder, host, port, say, stop), daemon=True),
            threading.Thread(target=_follow, args=(asked, say, stop), daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(_FAREWELL)


def _show(folder: Path, host: str, port: int, say: Tell, stop: threading.Event) -> None:
    try:
        with board(folder, host, port) as running:
            say(f"TensorBoard  {running.url}")
            while not stop.wait(1.0):
                if running.has_ended:
                    say("TensorBoard has ended; the batch goes on")
                    return
    except CoordinatorError as error:
        say(f"no TensorBoard: {error}; the batch goes on")


def _follow(asked: Asked, say: Tell, stop: threading.Event) -> None:
    """The ledger of a new batch comes only once all has been checked."""
    is_last = False
    while not is_last:
        is_last = stop.wait(0.2)
        try:
            gather(asked, say, lambda _round: None, until_finished=False, stop=stop)
            return
        except BatchMissing:
            continue
        except CoordinatorError as error:
            say(f"curves stand still: {error}")
            stop.wait(_SECONDS)
