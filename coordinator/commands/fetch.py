"""`fetch`: the outputs of a batch, from the output root into a folder of the user's."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.copying import copied
from coordinator.commands.record import record_of
from coordinator.commands.status import open_ledger
from coordinator.domain.handoff import FileRecord
from coordinator.domain.names import file_name_problem, item_id_problem
from coordinator.domain.paths import BatchKeys
from coordinator.errors import BatchMissing, UsageError
from coordinator.files import file_in_place_of, sha256_of
from coordinator.ledger import Ledger
from coordinator.parallel import ordered_map
from coordinator.settings import Settings
from coordinator.storage import Storage, open_storage

OnProgress = Callable[[int], None]
_LANES = 16

Published = Callable[[str], Mapping[str, FileRecord]]  # item -> file name -> what its step left


@dataclass(frozen=True)
class Fetched:
    """What is in the folder now.

    Attributes:
        kept: files that were there before, whole and unchanged.
        refused: keys that cannot be paths here, each with the reason.
    """

    batch: str
    source: str
    folder: str
    fetched: int
    kept: int
    bytes: int
    refused: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _File:
    """An object to bring, with its checked place below the folder."""

    key: str
    place: Path
    known: FileRecord | None  # size and hash, where the ledger has them


def fetch(
    settings: Settings,
    batch: str,
    folder: Path,
    clock: Clock,
    *,
    summary_only: bool = False,
    root: str | None = None,
    on_progress: OnProgress = lambda _done: None,
) -> Fetched:
    """Bring `batch.json`, `summary/` and `items/<id>/<file>`; those of single attempts stay.

    Each file appears whole. One that is here with the size and the hash that the ledger has of it
    is not fetched again; of the others nothing is known that would save the way.

    Raises:
        BatchMissing: neither a ledger here nor outputs there.
        UsageError: the folder cannot be written.
    """
    if file := file_in_place_of(folder):
        raise UsageError(f"{file} is a file, not a folder", hint="choose another folder for --to")
    refused: list[tuple[str, str]] = []
    with _origin(settings, batch, clock, root) as (uri, published):
        storage, keys = open_storage(uri), BatchKeys(batch)
        if storage.size(keys.record) is None:
            raise BatchMissing(
                f"there are no outputs of {batch}",
                why=f"{storage.uri}/{keys.record} is not there",
                hint="--output_root says where else to look",
            )
        wanted = _wanted(storage, keys, published, refused, summary_only=summary_only)
        counts = _bring_all(storage, folder, wanted, on_progress)
    return Fetched(batch, storage.uri, str(folder), *counts, tuple(refused))


@contextmanager
def _origin(
    settings: Settings, batch: str, clock: Clock, root: str | None
) -> Iterator[tuple[str, Published]]:
    """The output root, and what the ledger knows of the published files, if there is one."""
    ledger = _ledger(settings, batch, clock, root)
    if ledger is None:
        yield root or "", lambda _item: {}
        return
    try:
        yield root or record_of(ledger).output_root, ledger.published
    finally:
        ledger.close()


def _ledger(settings: Settings, batch: str, clock: Clock, root: str | None) -> Ledger | None:
    """The batch's ledger; None where there is none, and `root` says where the outputs are."""
    batch_folder(settings, batch)  # checks the name
    try:
        return open_ledger(settings, batch, clock)
    except BatchMissing as error:
        if root is not None:
            return None
        hint = f"{error.hint}; or say where its outputs are: --output_root"
        raise BatchMissing(error.what, why=error.why, hint=hint) from error


def _wanted(
    storage: Storage,
    keys: BatchKeys,
    published: Published,
    refused: list[tuple[str, str]],
    *,
    summary_only: bool,
) -> Iterator[_File]:
    yield _File(keys.record, Path("batch.json"), None)
    prefixes = [f"{keys.prefix}summary/"] + ([] if summary_only else [f"{keys.prefix}items/"])
    for prefix in prefixes:
        for key in storage.list(prefix):
            parts = key.removeprefix(keys.prefix).split("/")
            if len(parts) != (2 if parts[0] == "summary" else 3):
                continue  # of a single attempt
            if problem := _problem(parts):
                refused.append((key, problem))
                continue
            known = published(parts[1]).get(parts[2]) if parts[0] == "items" else None
            yield _File(key, Path(*parts), known)


def _problem(parts: list[str]) -> str | None:
    """Why the parts of a key cannot be a path here, or None: the store's keys are not ours."""
    item = item_id_problem(parts[1]) if parts[0] == "items" else None
    return item or file_name_problem(parts[-1])


def _bring_all(
    storage: Storage, folder: Path, wanted: Iterator[_File], on_progress: OnProgress
) -> tuple[int, int, int]:
    """How many were fetched, how many were here, and the bytes that were fetched."""
    fetched, kept, size = 0, 0, 0
    for count in ordered_map(lambda file: _bring(storage, folder, file), wanted, _LANES):
        fetched, kept = fetched + (count is not None), kept + (count is None)
        size += count or 0
        on_progress(fetched + kept)
    return fetched, kept, size


def _bring(storage: Storage, folder: Path, file: _File) -> int | None:
    """Fetch one file unless it is here; its size, or None if it was."""
    target = folder / file.place
    if file.known is not None and _is_here(target, file.known):
        return None
    try:
        return copied(storage, file.key, target)
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written",
            why=str(error),
            hint="free some space, or choose another folder; what is there already is kept",
        ) from error


def _is_here(target: Path, known: FileRecord) -> bool:
    try:
        if target.is_symlink() or target.stat().st_size != known.size:
            return False
        return sha256_of(target) == known.sha256
    except OSError:
        return False
