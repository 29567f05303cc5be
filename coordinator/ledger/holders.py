"""Which process keeps others from a ledger, as far as this machine tells."""

from contextlib import suppress
from pathlib import Path

_LOCKS = Path("/proc/locks")


def who_locks(ledger: Path) -> str:
    """Such as `process 4711 (sqlite3)`, or "" where that cannot be told."""
    inodes = {_inode(path) for path in (ledger, ledger.with_name(f"{ledger.name}-shm"))}
    with suppress(OSError, ValueError, IndexError):
        for line in _LOCKS.read_text().splitlines():
            _, _, _, kind, pid, file, *_ = line.split()
            if kind == "WRITE" and int(file.rpartition(":")[2]) in inodes and int(pid) > 0:
                return f"process {pid} ({_name(pid)})"
    return ""


def _inode(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_ino
    return -1


def _name(pid: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    return "?"
