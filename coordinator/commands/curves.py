"""Event files of chosen items, brought from the store into a folder as they grow.

One run an item, as TensorBoard calls a folder: that program knows no states and loads all that it
finds, so what is not wanted is not there. The files are copied as bytes and never read.
"""

import fcntl
import os
import re
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from coordinator.domain.curves import MOST_BYTES, MOST_FILES, is_event_file
from coordinator.domain.names import item_id_problem
from coordinator.domain.paths import BatchKeys
from coordinator.domain.states import FINISHED_ITEMS, ItemState
from coordinator.errors import ObjectMissing, UsageError
from coordinator.reports.diagnostics import RUN as DIAGNOSTICS
from coordinator.storage import Storage

MOST_RUNS = 500  # TensorBoard shows no more in a useful way
MOST_IN_ALL = 4 << 30  # bytes of the folder
_MARK = ".coordinator"  # the file that says whose folder it is
_BLOCK = 1 << 20
_ATTEMPT = re.compile(r"a([1-9][0-9]{0,8})")


class Word(StrEnum):
    """States as users of TensorBoard call them."""

    QUEUED = "Queued"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"


WORDS: Mapping[ItemState, Word] = {
    ItemState.WAITING: Word.QUEUED,
    ItemState.IN_FLIGHT: Word.RUNNING,
    ItemState.SUCCEEDED: Word.COMPLETED,
    ItemState.NO_DATA: Word.COMPLETED,
    ItemState.FAILED: Word.FAILED,
    ItemState.STOPPED: Word.CANCELED,
    ItemState.SKIPPED: Word.CANCELED,
}
USUAL = (Word.QUEUED, Word.RUNNING, Word.COMPLETED)


def words_in(text: str) -> tuple[Word, ...]:
    """`Running,Completed` as words, in any case.

    Raises:
        UsageError: one of them is none, with the list.
    """
    known = {word.lower(): word for word in Word}
    given = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [part for part in given if part.lower() not in known]
    if wrong or not given:
        raise UsageError(
            f"--filters {text!r} cannot be used",
            why=f"{wrong[0]!r} is no state of TensorBoard's list" if wrong else "it names no state",
            hint=f"one or more of {', '.join(Word)}, with commas",
        )
    return tuple(dict.fromkeys(known[part.lower()] for part in given))


@dataclass(frozen=True)
class Source:
    """An event file of the newest attempt of an item at a step."""

    item: str
    step: str
    attempt: int
    key: str

    @property
    def name(self) -> str:
        """Of the copy: the steps of an item write into one run."""
        return f"{self.key.rpartition('/')[2]}.{self.step}-a{self.attempt}"


@dataclass(frozen=True)
class Collected:
    """What a round found.

    Attributes:
        runs: wanted items whose curves are in the folder.
        left_out: such items of which there are too many.
        is_full: there was no room in the folder for some of the bytes.
    """

    runs: tuple[str, ...] = ()
    left_out: int = 0
    is_full: bool = False


def sources_in(keys: Iterator[str], prefix: str, steps: Collection[str]) -> dict[str, list[Source]]:
    """Item -> its event files, from the keys below `prefix`; what is called otherwise is passed."""
    newest: dict[tuple[str, str], list[Source]] = {}
    for key in keys:
        source = _source(key, prefix, steps)
        if source is None:
            continue
        files = newest.setdefault((source.item, source.step), [])
        if files and files[0].attempt < source.attempt:
            files.clear()
        if len(files) < MOST_FILES and (not files or files[0].attempt == source.attempt):
            files.append(source)
    found: dict[str, list[Source]] = {}
    for (item, _), files in newest.items():
        found.setdefault(item, []).extend(files)
    return found


def _source(key: str, prefix: str, steps: Collection[str]) -> Source | None:
    parts = key.removeprefix(prefix).split("/")
    if len(parts) != 4:
        return None
    item, step, attempt, name = parts
    number = _ATTEMPT.fullmatch(attempt)
    if not number or step not in steps or not is_event_file(name) or item_id_problem(item):
        return None
    return Source(item, step, int(number[1]), key)


def run_of(item: str) -> str:
    """The name of an item's run; the run of what jobs used has one of its own."""
    return f"{item} (item)" if item.casefold() == DIAGNOSTICS.casefold() else item


@contextmanager
def collecting_folder(folder: Path, batch: str) -> Iterator[Path]:
    """The folder, ours alone for as long as the context is open.

    Raises:
        UsageError: it holds other things, another process collects there, or it cannot be made.
    """
    try:
        held = _held(folder, batch)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be used", why=error.strerror or str(error), hint="--logdir FOLDER"
        ) from error
    with held:
        yield folder


def _held(folder: Path, batch: str) -> BinaryIO:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / _MARK).is_file():
        raise _taken(folder, "it holds files that are not of curves")
    descriptor = os.open(folder / _MARK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    held = os.fdopen(descriptor, "r+b")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        owner = held.read(1000).decode("utf-8", "replace").strip()
        if owner not in ("", batch):
            raise _taken(folder, f"it holds the curves of batch {owner}")
    except BlockingIOError as error:
        held.close()
        raise _taken(folder, "another process collects there") from error
    except UsageError:
        held.close()
        raise
    held.write(b"" if owner else batch.encode())
    held.flush()
    return held


def _taken(folder: Path, why: str) -> UsageError:
    return UsageError(
        f"{folder} cannot take the curves", why=why, hint="--logdir FOLDER names another one"
    )


@dataclass
class Collector:
    """Copies the curves of wanted items of one batch into `folder`."""

    storage: Storage
    batch: str
    steps: Sequence[str]
    folder: Path
    wanted: Collection[Word] = USUAL
    items: Collection[str] | None = None  # only these; None = all
    _whole: set[Source] = field(default_factory=set)  # copied after their item had ended

    def found(self) -> dict[str, list[Source]]:
        """Item -> its event files, of all items that may be meant."""
        prefix = BatchKeys(self.batch).curves
        found = sources_in(self.storage.list(prefix), prefix, self.steps)
        return {i: s for i, s in found.items() if self.items is None or i in self.items}

    def round(
        self, found: Mapping[str, Sequence[Source]], states: Mapping[str, ItemState]
    ) -> Collected:
        """Bring the folder up to what was `found` and to the items' `states`.

        Raises:
            StorageError, CredentialsError: the store cannot be read; what is there stays.
            OSError: the folder cannot be written.
        """
        known = [item for item in found if item in states]
        wanted = [item for item in known if WORDS[states[item]] in self.wanted]
        wanted.sort(key=lambda item: (states[item] is not ItemState.IN_FLIGHT, item))
        shown = wanted[:MOST_RUNS]
        self._remove_all_but({run_of(item): found[item] for item in shown})
        room, is_full = MOST_IN_ALL - _bytes_below(self.folder), False
        for item in shown:
            is_over = states[item] in FINISHED_ITEMS
            for source in self._not_whole(found[item]):
                copied = self._copy(source, room)
                if copied is None:
                    is_full = True
                    continue
                room -= copied
                if is_over:
                    self._whole.add(source)
        there = sorted(item for item in shown if (self.folder / run_of(item)).is_dir())
        return Collected(tuple(there), len(wanted) - len(shown), is_full)

    def _not_whole(self, sources: Sequence[Source]) -> list[Source]:
        return [source for source in sources if source not in self._whole]

    def _remove_all_but(self, kept: Mapping[str, Sequence[Source]]) -> None:
        """Runs that are not wanted any more, and files of attempts that have a newer one."""
        for entry in os.scandir(self.folder):
            if entry.name == DIAGNOSTICS or not entry.is_dir(follow_symlinks=False):
                continue
            names = {source.name for source in kept.get(entry.name, ())}
            if not names:
                shutil.rmtree(entry.path)
                continue
            for file in os.scandir(entry.path):
                if file.name not in names:
                    os.unlink(file.path)
        current = {source for sources in kept.values() for source in sources}
        self._whole &= current

    def _copy(self, source: Source, room: int) -> int | None:
        """Append what has been added to it; how many bytes that were, None: there is no room."""
        size = self.storage.size(source.key)
        target = self.folder / run_of(source.item) / source.name
        have = _size(target)
        if size is None or size == have or size > MOST_BYTES:
            return 0
        if size - have > room:
            return None
        if size < have:  # another file under the same name
            target.unlink()
            have = 0
        with suppress(ObjectMissing), self.storage.open(source.key) as stream:
            return _append(stream, target, have, size)
        return 0


def _append(stream: BinaryIO, target: Path, have: int, size: int) -> int:
    """The bytes from `have` to `size`, or as far as there are any."""
    skipped = 0
    while skipped < have and (block := stream.read(min(_BLOCK, have - skipped))):
        skipped += len(block)
    target.parent.mkdir(exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    done = 0
    with os.fdopen(os.open(target, flags, 0o644), "ab") as out:
        while block := stream.read(min(_BLOCK, size - have - done)):
            out.write(block)
            done += len(block)
    return done


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _bytes_below(folder: Path) -> int:
    total = 0
    for above, _, names in os.walk(folder):
        for name in names:
            found = os.lstat(os.path.join(above, name))
            total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total
