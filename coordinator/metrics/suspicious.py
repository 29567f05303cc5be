"""Signs that translations are no translations: a job may end well with rubbish in it.

Each sign is counted by line. A line never counts where its reference has the same peculiarity, so
that a table of dashes or a text that is left in English on purpose raises no suspicion.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.metrics.documents import Suspicious
from coordinator.metrics.scripts import SCRIPTS, count_scripts, main_scripts

# From these shares of the lines on a text is called suspicious.
EMPTY_SHARE = 0.01
COPIED_SHARE = 0.05
REPEATED_SHARE = 0.02
LOOP_SHARE = 0.01
LENGTH_SHARE = 0.05
SCRIPT_SHARE = 0.05

NEAR_COPY = 0.8  # of the different words, in both texts
FEWEST_WORDS = 4  # for a near copy; with fewer, only an equal text is a copy
LOOPS = 4  # times that a piece of text stands there, one right after the other
LOOPING = 2 / 3  # of a line's characters, that the loop makes up
LOOP_LINE = 24  # characters; shorter lines are not looked at for loops
FAR_RATIO = 3.0  # as long, or one third: a far outlier
FAR_LENGTH = 20  # characters; next to shorter texts any length may be right
TEXT_RATIO = 2.0  # the whole text against the reference
EXPECTED_SCRIPT = 0.05  # of the reference's lines: a script that the language is written in

_TRIES = 8  # places, on either side, where the middle of a line is found again


def examine(
    hypotheses: Sequence[str],
    references: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
) -> Suspicious:
    """What is suspicious about `hypotheses` (at least one), line by line against what is given.

    Lines that look like copies of the source are only looked for with sources, other scripts only
    with references. Lengths are compared with the references, or else with the sources; of
    these, a line is an outlier by the ratio of the whole text.
    """
    others = references if references is not None else sources
    lines = _lines_of(hypotheses, references, sources)
    found = Suspicious(
        sentences=len(hypotheses),
        empty=len(lines.empty),
        copied=_count(lines.copied),
        repeated=len(lines.repeated),
        loops=len(lines.loops),
        wrong_script=_count(lines.wrong_script),
        scripts=lines.scripts,
        length_ratio=lines.length_ratio,
        far_lengths=_count(lines.far_lengths),
        lengths_against="" if others is None else "source" if references is None else "reference",
    )
    return found.model_copy(update={"flags": tuple(_flags(found))})


def suspicious_lines(
    hypotheses: Sequence[str],
    references: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
) -> dict[int, tuple[str, ...]]:
    """Line (from 0) -> what is suspicious about it, in words: the lines that `examine` counts."""
    lines = _lines_of(hypotheses, references, sources)
    than = "the reference" if references is not None else "the source would have it"
    signs = [
        (lines.empty, "empty"),
        (lines.copied, "a copy of the source"),
        (lines.wrong_script, "in another script than the reference"),
        (lines.repeated, "the same as other lines, for something else"),
        (lines.loops, "a piece of text over and over"),
        (lines.far_lengths, f"far longer or shorter than {than}"),
    ]
    found: defaultdict[int, list[str]] = defaultdict(list)
    for marked, words in signs:
        for line in marked or ():
            found[line].append(words)
    return {line: tuple(words) for line, words in sorted(found.items())}


@dataclass(frozen=True)
class _Lines:
    """Which lines show which sign, from 0; None = not to be told."""

    empty: list[int]
    copied: list[int] | None
    repeated: list[int]
    loops: list[int]
    wrong_script: list[int] | None
    scripts: tuple[str, str] | None
    length_ratio: float | None
    far_lengths: list[int] | None


def _lines_of(
    hypotheses: Sequence[str], references: Sequence[str] | None, sources: Sequence[str] | None
) -> _Lines:
    others = references if references is not None else sources
    ratio, outliers = _lengths(hypotheses, others, by_text=references is None)
    wrong, instead = _wrong_script(hypotheses, references)
    return _Lines(
        empty=_empty(hypotheses, references),
        copied=_copied(hypotheses, sources, references),
        repeated=_repeated(hypotheses, others),
        loops=_looping(hypotheses, references),
        wrong_script=wrong,
        scripts=instead,
        length_ratio=ratio,
        far_lengths=outliers,
    )


def _count(lines: list[int] | None) -> int | None:
    return None if lines is None else len(lines)


# one sign each


def _empty(hypotheses: Sequence[str], references: Sequence[str] | None) -> list[int]:
    lines = [line for line, text in enumerate(hypotheses) if not text or text.isspace()]
    return _without(lines, references, lambda reference: not reference.strip())


def _copied(
    hypotheses: Sequence[str], sources: Sequence[str] | None, references: Sequence[str] | None
) -> list[int] | None:
    if sources is None:
        return None
    pairs = zip(_beginnings(hypotheses), _beginnings(sources), strict=True)
    alike = [line for line, (begin, other) in enumerate(pairs) if begin and begin == other]
    copies = [line for line in alike if _is_copy(hypotheses[line], sources[line])]
    if references is None:
        return copies
    return [line for line in copies if not _is_copy(references[line], sources[line])]


def _beginnings(texts: Sequence[str]) -> list[str]:
    """Cheap to compare, and alike in all but few copies."""
    return [text.lstrip()[:3].casefold() for text in texts]


def _is_copy(text: str, source: str) -> bool:
    """Whether the two are the same but for case, white space and a few words."""
    words, given = text.casefold().split(), source.casefold().split()
    if words == given:
        return True
    if min(len(words), len(given)) < FEWEST_WORDS:
        return False
    one, other = set(words), set(given)
    return len(one & other) >= NEAR_COPY * max(len(one), len(other))


def _repeated(hypotheses: Sequence[str], others: Sequence[str] | None) -> list[int]:
    """Lines whose text also stands in another line, where something else is translated."""
    if len(set(hypotheses)) == len(hypotheses):
        return []
    lines: defaultdict[str, list[int]] = defaultdict(list)
    for line, text in enumerate(hypotheses):
        if text.strip():
            lines[text].append(line)
    return [line for same in lines.values() if _differ(same, others) for line in same]


def _differ(lines: Sequence[int], others: Sequence[str] | None) -> bool:
    return len(lines) > 1 and (others is None or len({others[line] for line in lines}) > 1)


def _looping(hypotheses: Sequence[str], references: Sequence[str] | None) -> list[int]:
    lines = [line for line, text in enumerate(hypotheses) if _may_loop(text) and loops(text)]
    return _without(lines, references, loops)


def _may_loop(line: str) -> bool:
    """Whether what stands in its middle stands there again: true of every loop (see `loops`)."""
    if (size := len(line)) < LOOP_LINE:
        return False
    return line.count(line[size // 2 : size // 2 + _piece(size)]) > 1


def loops(line: str) -> bool:
    """Whether a piece of text that is repeated over and over makes up most of the line.

    Such a loop reaches beyond the middle of the line by a sixth of it: what stands there is looked
    for on either side.
    """
    return _may_loop(line) and any(
        length >= LOOPING * len(line) and length >= LOOPS * period
        for length, period in _stretches(line, len(line) // 2, _piece(len(line)))
    )


def _piece(size: int) -> int:
    """Characters that are looked for again: no more than a sixth of the line."""
    return 8 if size >= 48 else 4


def _stretches(line: str, middle: int, size: int) -> Iterator[tuple[int, int]]:
    """Length and period of what repeats itself around the `size` characters in the middle."""
    piece, at = line[middle : middle + size], middle
    for _ in range(_TRIES):
        if (at := line.find(piece, at + 1)) < 0:
            break
        yield _stretch(line, middle, at - middle), at - middle
    at = middle
    for _ in range(_TRIES):
        if (at := line.rfind(piece, 0, at + size - 1)) < 0:
            break
        yield _stretch(line, at, middle - at), middle - at


def _stretch(line: str, at: int, period: int) -> int:
    """The length of the text around `at` in which each character stands again after `period`."""
    start = end = at
    while start > 0 and line[start - 1] == line[start - 1 + period]:
        start -= 1
    while end + period < len(line) and line[end] == line[end + period]:
        end += 1
    return end + period - start


def _lengths(
    hypotheses: Sequence[str], others: Sequence[str] | None, *, by_text: bool
) -> tuple[float | None, list[int] | None]:
    """Characters against those of `others` in all, and which lines are far off."""
    if others is None:
        return None, None
    length, other = _sizes(hypotheses), _sizes(others)
    if not other.sum():
        return None, None
    ratio = float(length.sum() / other.sum())
    right = other * (ratio if by_text else 1.0)
    far = (length > FAR_RATIO * right) | (length * FAR_RATIO < right)
    lines = np.flatnonzero(far & (right >= FAR_LENGTH)).tolist()
    return ratio, [line for line in lines if hypotheses[line].strip()]


def _sizes(texts: Sequence[str]) -> NDArray[np.int64]:
    return np.fromiter(map(len, texts), np.int64, len(texts))


def _wrong_script(
    hypotheses: Sequence[str], references: Sequence[str] | None
) -> tuple[list[int] | None, tuple[str, str] | None]:
    """Lines in a script that the reference is not written in; that of most of them, and its own."""
    if references is None:
        return None, None
    right = main_scripts(count_scripts(references))
    lines = np.bincount(right, minlength=len(SCRIPTS))
    lines[0] = 0
    if not lines.sum():
        return None, None
    known = lines >= EXPECTED_SCRIPT * lines.sum()
    known[0] = True  # no letters, no script
    found = main_scripts(count_scripts(hypotheses))
    wrong = np.flatnonzero(~known[found] & (found != right))
    if not wrong.size:
        return [], None
    instead = SCRIPTS[np.bincount(found[wrong]).argmax()]
    return wrong.tolist(), (instead, SCRIPTS[lines.argmax()])


def _without(
    lines: list[int], references: Sequence[str] | None, is_so: Callable[[str], bool]
) -> list[int]:
    """The lines that are left without those whose reference is so, too."""
    if references is None:
        return lines
    return [line for line in lines if not is_so(references[line])]


# what is said of them


def _flags(found: Suspicious) -> Iterator[str]:
    """A sentence for each sign that passes its threshold, the worst first."""
    if found.scripts is not None:
        script = " instead of ".join(name.replace("_", " ") for name in found.scripts)
    else:
        script = ""
    signs = [
        (found.empty, EMPTY_SHARE, "are empty"),
        (found.copied, COPIED_SHARE, "are copies of the source"),
        (found.wrong_script, SCRIPT_SHARE, f"are in another script than the reference ({script})"),
        (found.repeated, REPEATED_SHARE, "also stand in other lines, for something else"),
        (found.loops, LOOP_SHARE, "repeat the same piece of text over and over"),
        (found.far_lengths, LENGTH_SHARE, f"are far longer or shorter than {_than(found)}"),
    ]
    told = [(count or 0, words) for count, share, words in signs if _reaches(found, count, share)]
    for count, words in sorted(told, key=lambda sign: -sign[0]):
        yield f"{_share(count, found.sentences)} of the translations {words}"
    ratio = found.length_ratio if found.lengths_against == "reference" else None
    if ratio is not None and not 1 / TEXT_RATIO <= ratio <= TEXT_RATIO:
        yield f"the translations are {ratio:.2g} times as long as the reference"


def _reaches(found: Suspicious, count: int | None, share: float) -> bool:
    return bool(count) and (count or 0) >= share * found.sentences


def _than(found: Suspicious) -> str:
    reference = found.lengths_against == "reference"
    return "the reference" if reference else "the source would have it"


def _share(count: int, of: int) -> str:
    """`42 %`, or `1.3 %` where it is little."""
    percent = 100 * count / of
    return f"{percent:.0f} %" if percent >= 9.95 else f"{percent:.1f} %"
