"""Reading below the log folder: no link is followed, no device opened, nothing read without bound.

What cannot be used is told by file, and the report goes on without it.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeVar

MAX_DOCUMENT = 64 * 1024 * 1024  # bytes; a dispatch of 100,000 attempts is a third of it
BLOCK = 256 * 1024  # bytes read at a time
_GAP = b" ... "  # where the middle of a line was left out
MAX_LINE = 64 * 1024  # bytes kept of one line


OnProgress = Callable[[str, int, int | None], None]  # what, how many are done, of how many
T = TypeVar("T")


@dataclass(frozen=True)
class Note:
    """A file or folder that could not be used, or not wholly."""

    file: str  # relative to the log folder
    problem: str


@dataclass(frozen=True)
class Entries:
    """What a folder holds, sorted by name."""

    folders: tuple[Path, ...]
    files: tuple[Path, ...]


@dataclass
class Tree:
    """The log folder as it was given, and what was found wrong below it."""

    base: Path
    notes: list[Note] = field(default_factory=list)
    on_progress: OnProgress = lambda _what, _done, _total: None

    def counted(self, what: str, things: Sequence[T]) -> Iterator[T]:
        """Each of the things; whoever looks on hears how many there were."""
        for done, thing in enumerate(things):
            self.on_progress(what, done, len(things))
            yield thing

    def note(self, path: Path, problem: str) -> None:
        self.notes.append(Note(self.relative(path), problem))

    def relative(self, path: Path) -> str:
        return str(path.relative_to(self.base))

    def entries(self, folder: Path) -> Entries:
        """The plain files and folders in `folder`; anything else is told."""
        try:
            found = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self.note(folder, _reason(error))
            return Entries((), ())
        folders, files = [], []
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                files.append(Path(entry.path))
            else:
                link = "a symbolic link: not followed"
                self.note(Path(entry.path), link if entry.is_symlink() else "no file: not opened")
        return Entries(tuple(folders), tuple(files))

    def open(self, path: Path) -> BinaryIO | None:
        """A stream of a plain file; None, and told, where it is none or cannot be read."""
        try:
            return open_plain(path)
        except OSError as error:
            self.note(path, _reason(error))
            return None

    def document(self, path: Path) -> bytes | None:
        """The content of a small file; None, and told, where it cannot be read or is too large."""
        stream = self.open(path)
        if stream is None:
            return None
        with stream:
            data = stream.read(MAX_DOCUMENT + 1)
        if len(data) > MAX_DOCUMENT:
            self.note(path, f"larger than {MAX_DOCUMENT} bytes: not read")
            return None
        return data


def open_plain(path: Path) -> BinaryIO:
    """Open a regular file, without waiting and without following a link. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a plain file: not opened")
    return os.fdopen(descriptor, "rb")


def numbered_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers from 1, without their ends.

    Of a line longer than MAX_LINE bytes, half of that is kept from its start and half from its end.
    """
    for number, block in numbered_blocks(stream):
        yield from enumerate(lines_of(block), start=number)


def numbered_blocks(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Whole lines at a time, with the number of the first, for `lines_of`."""
    number = 1
    while block := stream.read(BLOCK):
        cut = block.rfind(b"\n") + 1
        if cut:
            yield number, block[: cut - 1]
            number += block.count(b"\n")
        if cut < len(block):
            yield number, _whole_line(stream, block[cut:])
            number += 1


def lines_of(block: bytes) -> Iterator[bytes]:
    """The lines of a block, without their ends, none longer than they are kept."""
    for line in block.split(b"\n"):
        whole = line.rstrip(b"\r")
        yield whole if len(whole) <= MAX_LINE else _shortened(whole)


def line_end(block: bytes, place: int) -> int:
    """Where the line of this place ends."""
    end = block.find(b"\n", place)
    return len(block) if end < 0 else end


def _whole_line(stream: BinaryIO, begun: bytes) -> bytes:
    """The line that begins so, read on to its end, of which no more is kept than is used."""
    line = begun
    while not line.endswith(b"\n") and (piece := stream.readline(MAX_LINE)):
        line += piece
        if len(line) > 2 * BLOCK:
            line = _shortened(line)
    return line.removesuffix(b"\n")


def _shortened(line: bytes) -> bytes:
    half = MAX_LINE // 2
    return line[:half] + _GAP + line[-half:]


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
