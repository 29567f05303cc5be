"""All items of a dispatch at once: fetched ahead, worked on together, put away as each is whole."""

import shutil
import tempfile
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from coordinator.domain.handoff import HandoffItem
from coordinator.domain.work import Done, PackJob, Parcel
from coordinator.errors import WorkerExit, WorkInterrupted
from coordinator.parallel import ordered_map
from coordinator.workers.desk import Desk
from coordinator.workers.stop import StopFlag

_LANES = 4  # items fetched at a time, and as many put away


@dataclass(frozen=True)
class _Prepared:
    """An item and its files, or why there are none; nothing of either where it was done before."""

    item: HandoffItem
    scratch: Path
    parcel: Parcel | None = None
    problem: Exception | None = None


class PackRun:
    """One run of a job over the items of a handoff."""

    def __init__(self, desk: Desk, stop: StopFlag) -> None:
        self._desk, self._stop = desk, stop
        self._began: dict[str, tuple[float, Path]] = {}
        self._in_hand: dict[str, HandoffItem] = {}  # begun, and without an outcome
        self._on_the_way: deque[Future[int]] = deque()
        self._code = 0

    def run(self, job: PackJob, items: Sequence[HandoffItem]) -> int:
        """Work them off; the first exit code that is not 0.

        Whatever it raises, the items that were whole before have been put away.

        Raises:
            StorageError, CredentialsError, WorkInterrupted: no fault of any item.
            ModelError, MemoryError, TimeoutError: no item can be worked on any more.
        """
        with (
            tempfile.TemporaryDirectory(prefix="pack-") as scratch,
            ThreadPoolExecutor(_LANES) as self._porters,
            closing(self._arriving(items, Path(scratch))) as parcels,
        ):
            self._work(job, parcels)
        self._look_at_porters()
        if self._in_hand:
            self._stop.refuse_if_set()
        return self._code

    @property
    def in_hand(self) -> list[HandoffItem]:
        """What was begun and has no outcome."""
        return list(self._in_hand.values())

    def hand_back(self) -> None:
        """After a stop: what was begun and is not whole was not at fault."""
        for item in self.in_hand:
            self._desk.hand_back(item, self._began[item.item][0])

    def _work(self, job: PackJob, parcels: Iterator[Parcel]) -> None:
        with closing(job.run_all(parcels, self._stop.is_set)) as found:
            for parcel, verdict in found:
                self._put_away(parcel.item, parcel.out, verdict)
                self._look_at_porters()

    def _arriving(
        self, items: Sequence[HandoffItem], scratch: Path
    ) -> Generator[Parcel, None, None]:
        """The items that can be worked on; taking one begins it."""
        folders = (scratch / str(number) for number in range(len(items)))
        for prepared in ordered_map(self._prepared, list(zip(items, folders, strict=True)), _LANES):
            if prepared.parcel is None and prepared.problem is None:
                continue
            item = prepared.item
            self._began[item.item] = self._desk.begin(item), prepared.scratch
            self._in_hand[item.item] = item
            if prepared.parcel:
                yield prepared.parcel
            elif prepared.problem:
                self._put_away(item, None, prepared.problem)

    def _prepared(self, given: tuple[HandoffItem, Path]) -> _Prepared:
        """Ahead of need, in another thread; that the item has begun is said later."""
        item, scratch = given
        if self._desk.was_done(item):
            return _Prepared(item, scratch)
        scratch.mkdir()
        try:
            return _Prepared(item, scratch, self._desk.unpack(item, scratch))
        except Exception as error:
            return _Prepared(item, scratch, problem=error)

    def _put_away(self, item: HandoffItem, out: Path | None, found: Done | Exception) -> None:
        self._on_the_way.append(self._porters.submit(self._carry, item, out, found))

    def _carry(self, item: HandoffItem, out: Path | None, found: Done | Exception) -> int:
        began, scratch = self._began[item.item]
        try:
            code = self._desk.put_away(item, out, found, began)
            del self._in_hand[item.item]
            return code
        except WorkInterrupted:  # a stop is no verdict; what else is in hand may yet be whole
            return WorkerExit.TRY_AGAIN
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _look_at_porters(self) -> None:
        """What has become of what they carried; raises what stopped them."""
        while self._on_the_way and self._on_the_way[0].done():
            code = self._on_the_way.popleft().result()
            self._code = self._code or code
