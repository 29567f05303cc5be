"""How far a ledger had come, kept beside it: so that it is noticed when moves are missing.

SQLite reads a write-ahead log up to the first damaged byte and takes what follows for never
committed; a file that was copied without its log looks like an older one. Both would open without
a word, and what is not remembered would be run again. The mark is written after each commit and
needs no sync of its own: at worst it lags behind.
"""

import os
from contextlib import suppress
from pathlib import Path

from coordinator.errors import LedgerError

_WIDTH = 20  # digits


class HighWater:
    """The mark of one ledger: the number of its last event."""

    def __init__(self, ledger: Path, *, read_only: bool) -> None:
        path = _beside(ledger, ".seen")
        self.seen = _read(path)  # before the ledger is: what is committed meanwhile is no fault
        self._descriptor = -1
        if not read_only:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def see(self, last: int) -> None:
        """Remember it. Where the disk is full, an older mark does no harm."""
        if last > self.seen and self._descriptor >= 0:
            with suppress(OSError):
                os.pwrite(self._descriptor, f"{last:0{_WIDTH}}".encode(), 0)
            self.seen = last

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def put_in_place(fresh: Path, path: Path) -> None:
    """Rename a closed ledger to where it belongs; nothing of an earlier one stays there.

    Raises:
        LedgerError: it is not whole. Closing it brings all into one file, and says nothing where
            there is no room for that.
    """
    log = _beside(fresh, "-wal")
    if log.exists() and log.stat().st_size:
        raise LedgerError(
            f"the ledger {path} cannot be written",
            why="there is no room for all of it",
            hint="free the disk, then the same again",
        )
    for end in (".seen", "-wal", "-shm"):
        _beside(path, end).unlink(missing_ok=True)
    os.replace(fresh, path)
    _beside(fresh, ".seen").unlink(missing_ok=True)


def _beside(ledger: Path, end: str) -> Path:
    return ledger.with_name(f"{ledger.name}{end}")


def _read(path: Path) -> int:
    try:
        text = path.read_bytes()[:_WIDTH]
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0
