"""Log trees that lie in a bucket: a copy of them, for as long as somebody reads."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from coordinator.commands.copying import copied
from coordinator.domain.names import MAX_FILE_NAME_BYTES
from coordinator.errors import BadInput, Problem, UsageError
from coordinator.parallel import ordered_map
from coordinator.reports.batches import BATCH_MARKS
from coordinator.reports.tree import OnProgress
from coordinator.storage import Storage, open_storage
from coordinator.storage.keys import is_key

_LANES = 16
_MOST_SHOWN = 20
_SCHEME = "s3:/"  # as a Path has it


def address_of(log_dir: Path) -> str:
    """The address of a log tree in a bucket, which a Path has lost a slash of; else ""."""
    text = str(log_dir)
    return f"{_SCHEME}/{text.removeprefix(_SCHEME)}" if text.startswith(_SCHEME) else ""


@contextmanager
def logs_at_hand(
    log_dir: Path, on_progress: OnProgress, batches: Sequence[str] = ()
) -> Iterator[Path]:
    """The folder, or a copy of what lies below its address, removed in the end.

    Args:
        log_dir: a folder, or s3://bucket/prefix.
        on_progress: hears what is done: what, how many, of how many.
        batches: only these are asked for; () = whatever lies there.

    Raises:
        BadInput: nothing lies there, or a key there cannot be a path here.
        UsageError: the copy cannot be written.
    """
    address = address_of(log_dir)
    if not address:
        yield log_dir
        return
    with tempfile.TemporaryDirectory(prefix="logs-") as scratch:
        folder = Path(scratch) / address.rstrip("/").rpartition("/")[2]
        try:
            storage = open_storage(address)
            _copy(storage, _keys(storage, batches), address, folder, on_progress)
        except OSError as error:
            raise UsageError(
                f"the logs at {address} cannot be copied to {scratch}",
                why=error.strerror or str(error),
                hint="free some space, or set TMPDIR to a larger disk",
            ) from error
        yield folder


def _keys(storage: Storage, batches: Sequence[str]) -> list[str]:
    """Those of the batches, where each has a folder there; else all."""
    own = [list(storage.list(f"{batch}/")) for batch in batches if is_key(batch)]
    if own and len(own) == len(batches) and all(map(_has_batch, own, batches)):
        return [key for keys in own for key in keys]
    return list(storage.list(""))


def _has_batch(keys: Sequence[str], batch: str) -> bool:
    return any(f"{batch}/{mark}" in keys for mark in BATCH_MARKS)


def _copy(
    storage: Storage, keys: Sequence[str], address: str, folder: Path, on_progress: OnProgress
) -> None:
    if not keys:
        raise BadInput(
            f"there are no logs at {address}", hint="check the bucket and the prefix of --log_dir"
        )
    if problems := [Problem(key, problem) for key in keys if (problem := _problem(key))]:
        raise BadInput(
            f"the logs at {address} cannot be read",
            problems=problems[:_MOST_SHOWN],
            hint="remove or rename these, or copy the rest to a folder and give that",
        )
    brought = ordered_map(lambda key: copied(storage, key, folder / key), keys, _LANES)
    for done, _ in enumerate(brought, start=1):
        on_progress("logs fetched", done, len(keys))


def _problem(key: str) -> str | None:
    """Why a key cannot be a path below a folder, or None: the store's keys are not ours."""
    for part in key.split("/"):
        if part in ("", ".", "..") or not part.isprintable():
            return "not a plain path"
        if len(part.encode()) > MAX_FILE_NAME_BYTES:
            return f"a part of it is longer than {MAX_FILE_NAME_BYTES} bytes"
    return None
