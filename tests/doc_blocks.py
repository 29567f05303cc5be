"""The fenced blocks of a Markdown file, and the command lines in them.

A comment right above a block says what to do with it:

    <!-- file: NAME -->           it is the content of the file NAME in the reader's folder
    <!-- not run: REASON -->      its commands are not run
    <!-- output varies: WHY -->   its commands are run, what they print is not compared
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^>]*?) -->\n)?"
    r"^(?P<fence>```+)(?P<language>\w*)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
ANY_LINES = "..."  # in an output: lines that are left out


@dataclass(frozen=True)
class Command:
    """A command line and what is shown below it; output None = nothing is said about it."""

    line: str
    output: str | None

    @property
    def asks_for_exit_code(self) -> bool:
        return self.line == "echo $?"


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    text: str
    note: str  # of the comment above, "" = none
    where: str  # file:line

    @property
    def file(self) -> str:
        return self.note.removeprefix("file: ") if self.note.startswith("file: ") else ""

    @property
    def not_run(self) -> str:
        return self.note.removeprefix("not run: ") if self.note.startswith("not run: ") else ""

    @property
    def output_varies(self) -> bool:
        return self.note.startswith("output varies: ")

    @property
    def is_commands(self) -> bool:
        return self.language in ("sh", "console")

    def commands(self) -> Iterator[Command]:
        joined = self.text.replace("\\\n", "")
        if self.language == "sh":
            lines = (line.strip() for line in joined.splitlines())
            yield from (Command(line, None) for line in lines if line and line[0] != "#")
            return
        for part in re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            yield Command(line.strip(), None if self.output_varies else output.rstrip("\n"))


def blocks(path: Path) -> list[Block]:
    """Every fenced block of the file, in order."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(
            found["language"],
            found["text"],
            found["note"] or "",
            f"{path.name}:{text.count(chr(10), 0, found.start('fence')) + 1}",
        )
        for found in _BLOCK.finditer(text)
    ]


def links(path: Path) -> list[str]:
    """The targets of the file's links, those inside fenced blocks left out."""
    prose = _BLOCK.sub("", path.read_text(encoding="utf-8"))
    return [found["target"] for found in _LINK.finditer(prose)]


def anchors(path: Path) -> set[str]:
    """What `#...` may name in the file, as GitHub makes it of the headings."""
    prose = _BLOCK.sub("", path.read_text(encoding="utf-8"))
    return {_anchor(heading) for heading in _HEADING.findall(prose)}


def shows(shown: str, printed: str) -> bool:
    """Whether a command printed what is shown, widths of columns aside.

    A shown line `...` stands for any lines.
    """
    lines = _lines(shown)
    pattern = "".join(
        r"(?:.*\n)*" if line == ANY_LINES else f"{re.escape(line)}\n" for line in lines
    )
    found = "".join(f"{line}\n" for line in _lines(printed))
    return re.fullmatch(pattern, found) is not None


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def _anchor(heading: str) -> str:
    plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return plain.replace(" ", "-")
