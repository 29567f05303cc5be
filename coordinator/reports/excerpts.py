"""What stands around a line of a log: the traceback that it ends, or the last words before it."""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from coordinator.reports.scan import TRACEBACK, is_structured, plain
from coordinator.reports.tree import Tree, numbered_lines

MOST_LINES = 25
_WIDEST = 300  # characters of a line
_BEFORE, _AFTER = 400, 4  # lines of a log that are looked at around the one that is named
_LAST_WORDS = 10  # lines that are shown where no traceback ends


@dataclass(frozen=True)
class Excerpt:
    """Lines of a log, without colour codes, not yet made safe for a terminal.

    Attributes:
        lines: MOST_LINES at most, the last ones.
        left_out: how many stand before these.
    """

    lines: tuple[str, ...] = ()
    left_out: int = 0

    @classmethod
    def of(cls, lines: Iterable[str]) -> "Excerpt":
        shown = [_narrow(line) for line in lines]
        while shown and not shown[-1].strip():
            shown.pop()
        return cls(tuple(shown[-MOST_LINES:]), max(0, len(shown) - MOST_LINES))

    @classmethod
    def of_text(cls, text: str) -> "Excerpt":
        return cls.of(map(_shown, text.splitlines()))


def excerpts_of(tree: Tree, path: Path, places: Mapping[str, int]) -> dict[str, Excerpt]:
    """Whoever asks -> what stands at their line of the file, which is read once, and no further.

    A file that cannot be read is told in `tree`, and gives nothing.
    """
    stream = tree.open(path)
    if stream is None:
        return {}
    with stream:
        found = dict(_around(numbered_lines(stream), set(places.values())))
    return {who: found[line] for who, line in places.items() if line in found}


def _around(lines: Iterable[tuple[int, bytes]], wanted: set[int]) -> Iterator[tuple[int, Excerpt]]:
    """Each wanted line with its excerpt, as soon as what follows it has been seen."""
    before: deque[tuple[int, bytes]] = deque(maxlen=_BEFORE)
    last = max(wanted, default=0) + _AFTER
    waiting: deque[int] = deque()
    for number, line in lines:
        before.append((number, line))
        if number in wanted:
            waiting.append(number)
        while waiting and number == waiting[0] + _AFTER:
            yield (place := waiting.popleft()), _excerpt(before, place)
        if number >= last:
            return
    for place in waiting:
        yield place, _excerpt(before, place)


def _excerpt(seen: Iterable[tuple[int, bytes]], place: int) -> Excerpt:
    texts = [(number, plain(line)) for number, line in seen]
    here = next(text for number, text in texts if number == place)
    if is_structured(here):
        return Excerpt.of(_unfolded(here))
    before = _plain_tail([text for number, text in texts if number < place])
    after = [text for number, text in texts if number > place]
    ends = next((i for i, text in enumerate(after) if is_structured(text)), len(after))
    return Excerpt.of([*_from_traceback(before), here, *after[:ends]])


def _plain_tail(texts: list[str]) -> list[str]:
    """The lines since the worker itself last spoke."""
    spoke = next((i for i in range(len(texts), 0, -1) if is_structured(texts[i - 1])), 0)
    return texts[spoke:]


def _from_traceback(texts: list[str]) -> list[str]:
    """From the first traceback on, with those that it led to; without one, the last few lines."""
    begins = next((i for i, text in enumerate(texts) if text.endswith(TRACEBACK)), None)
    return texts[-_LAST_WORDS:] if begins is None else texts[begins:]


def _unfolded(line: str) -> list[str]:
    """The traceback in a worker's own line, or what it says of the error."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return []
    lines = fields.get("traceback")
    if not isinstance(lines, list) or not lines:
        lines = str(fields.get("error") or "").splitlines()
    return [_shown(str(line)) for line in lines]


def _shown(line: str) -> str:
    return plain(line.encode("utf-8", "replace"))


def _narrow(line: str) -> str:
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 2]} …"
