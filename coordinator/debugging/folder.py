"""The folder of a job in which its processes say how they can be asked.

<pid>.stacks   of each process that answers: a line about it, then every stack that it was asked
               for, as faulthandler writes it; mode 0600
<pid>.taken    the same, where the code that it runs has a use of its own for the signal
<pid>.wish     somebody wants a debugger in that process
<pid>.pdb      the socket by which the two meet; there for a moment only
attached       see `standstill`
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from coordinator.debugging.own_code import lies_in

NAME = "debug"
STACKS, TAKEN, WISH, SOCKET = ".stacks", ".taken", ".wish", ".pdb"
LOCAL_JOB, NOMAD_TASK = "COORDINATOR_JOB_FOLDER", "NOMAD_TASK_DIR"  # variables of a job
LONGEST_ABOUT = 16_384  # bytes of the first line


def debug_folder(environment: Mapping[str, str]) -> Path | None:
    """The folder of the job whose environment this is; None = it is no job's."""
    home = environment.get(LOCAL_JOB) or environment.get(NOMAD_TASK)
    return Path(home) / NAME if home else None


@dataclass(frozen=True)
class Process:
    """What a process says of itself.

    Attributes:
        role: worker | model | scorer.
        main: its main thread, as stacks name it.
        ear: the thread that does nothing but answer, likewise.
        ear_id: the same as the system numbers it.
        python: its interpreter.
        own: folders of code that is nobody's handler: Python's, the libraries', the coordinator's.
    """

    pid: int
    role: str
    main: int
    ear: int
    ear_id: int
    python: str
    own: tuple[str, ...]

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    def is_own(self, file: str) -> bool:
        """Whether `file` is no user's code."""
        return lies_in(file, self.own)


def process_in(data: bytes) -> Process | None:
    """What the first line of a file says; None: it is no such file, or not whole yet."""
    line, end, _ = data[:LONGEST_ABOUT].partition(b"\n")
    try:
        said = json.loads(line if end else b"{}")
        own = tuple(map(str, said["own"]))
        numbers = {name: int(said[name]) for name in ("pid", "main", "ear", "ear_id")}
        return Process(role=str(said["role"]), python=str(said["python"]), own=own, **numbers)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def processes(folder: Path) -> Iterator[tuple[Path, Process]]:
    """The processes that can be asked, as their files say; some may have ended."""
    for path in sorted(folder.glob(f"*{STACKS}")):
        with suppress(OSError), path.open("rb") as stream:
            found = process_in(stream.read(LONGEST_ABOUT))
            if found and path.stem == str(found.pid):
                yield path, found
