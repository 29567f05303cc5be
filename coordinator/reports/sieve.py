"""Finds the lines of a log that a table of rules speaks of, all patterns at once.

Most of a log says nothing, so blocks of it are asked first whether any pattern is in them; RE2 does
that in time that grows with the block alone, whatever the patterns are. Memory does not grow with
the file, nor with its longest line.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import re2

from coordinator.reports.rules import Rule
from coordinator.reports.tree import line_end

BLOCK = 256 * 1024  # bytes
OVERLAP = 4 * 1024  # of a line that is longer than a block, between its parts
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[@-Z^_\\])")


@dataclass(frozen=True)
class Hit:
    """A line that a rule speaks of; its number from 1, and what it says, up to a block of it."""

    line: int
    rule: Rule
    text: bytes


class Sieve:
    """The rules of one task. The first of them that matches a line speaks for it."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._patterns = [re2.compile(_of_a_line(rule)) for rule in rules]
        # Of lines that mean nothing there are many: only another rule's lines are compared to them.
        self._telling = [number for number, rule in enumerate(rules) if not rule.ignorable]
        self._all = re2.Set.SearchSet()
        for number in self._telling:
            self._all.Add(_of_a_line(rules[number]))
        self._all.Compile()

    def hits(self, stream: BinaryIO) -> Iterator[Hit]:
        """What the rules say of the stream, line by line; of lines that mean nothing, nothing."""
        if not self._telling:
            return
        last = 0  # the line that was told last: of a long one, each part may match
        for line, block in _blocks(stream):
            for hit in self._in_block(line, block):
                if hit.line > last:
                    last = hit.line
                    yield hit

    def _in_block(self, first: int, block: bytes) -> Iterator[Hit]:
        block = _legible(block)
        matched = [self._telling[place] for place in self._all.Match(block) or ()]
        number, counted = first, 0
        for start in sorted(self._starts(block, matched)):
            number += block.count(b"\n", counted, start)
            counted = start
            line = block[start : line_end(block, start)]
            rule = self._first(line)
            if rule is not None and not rule.ignorable:
                yield Hit(number, rule, line)

    def _starts(self, block: bytes, matched: Sequence[int]) -> set[int]:
        """Where the lines begin in which one of these rules has a match."""
        found = set()
        for pattern in (self._patterns[number] for number in matched):
            at = 0
            while match := pattern.search(block, at):
                found.add(_start(block, match.start()))
                at = line_end(block, match.start()) + 1
        return found

    def _first(self, line: bytes) -> Rule | None:
        pairs = zip(self._rules, self._patterns, strict=True)
        return next((rule for rule, pattern in pairs if pattern.search(line)), None)


def _of_a_line(rule: Rule) -> bytes:
    return f"(?m){rule.pattern}".encode()


def _legible(block: bytes) -> bytes:
    """The same lines, with plain ends and no colours; bytes that are no text, which no `.` of a
    pattern would match, written out.
    """
    if b"\x1b" in block:
        block = _ESCAPES.sub(b"", block)
    if b"\r\n" in block:
        block = block.replace(b"\r\n", b"\n")
    return block if block.isascii() else block.decode("utf-8", "backslashreplace").encode()


def _start(block: bytes, place: int) -> int:
    return block.rfind(b"\n", 0, place) + 1


def _blocks(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Whole lines, a block at a time, with the number of the first; a line that is longer than a
    block comes in parts that overlap.
    """
    number, rest = 1, b""
    while data := stream.read(BLOCK):
        block = rest + data
        end = block.rfind(b"\n") + 1
        if not end and len(block) < BLOCK + OVERLAP:
            rest = block
            continue
        cut = end or len(block)
        yield number, block[:cut]
        number += block.count(b"\n", 0, cut)
        rest = block[end:] if end else block[-OVERLAP:]
    if rest:
        yield number, rest
