"""What somebody may have meant who typed a name that is not there. The one place that guesses."""

import difflib
import heapq
from collections.abc import Iterable
from itertools import islice, pairwise

_MOST_NAMES = 20_000  # that are looked at: a twentieth of a second
_CLOSE = 200  # of them, by the pairs of letters that they share: to compare each takes far longer
_A_PART = 3  # letters of a name that say which one was meant
_FEW = 12  # so many are named where none is near


def nearest(word: str, names: Iterable[str], count: int = 3) -> str:
    """`did you mean a, b?`, or "" where nothing is near: among the first of many thousand names."""
    found = _near(word, islice(names, _MOST_NAMES), count)
    return f"did you mean {', '.join(found)}?" if found else ""


def among(word: str, names: Iterable[str], what: str, total: int, listed: str = "") -> str:
    """`did you mean a, b, c? There are 41 batches in all; coordinator ls lists them`.

    Args:
        word: what was typed.
        names: those that there are, or enough of them for the near ones to be among these.
        what: what they are: `batch` for instance.
        total: how many there are in all.
        listed: which command lists them; "" = none does.
    """
    known = list(islice(names, _MOST_NAMES))
    near = nearest(word, known)
    count = f"{total:,}" if total else "no"
    said = f"there {'is' if total == 1 else 'are'} {count} {_plural(what, total)} in all"
    if near:
        said = f"{near} T{said[1:]}"
    elif 0 < total <= _FEW:
        return f"{said}: {', '.join(known)}"
    elif total:
        said = f"{said}, such as {known[0]}"
    return f"{said}; {listed} lists them" if listed and total else said


def _plural(what: str, total: int) -> str:
    if total == 1:
        return what
    return f"{what}es" if what.endswith("ch") else f"{what}s"


def _near(word: str, names: Iterable[str], count: int) -> list[str]:
    pairs = set(pairwise(word))

    def shared(name: str) -> int:
        return len(pairs.intersection(pairwise(name)))

    closest = heapq.nlargest(_CLOSE, names, key=shared)
    begun = [name for name in closest if word and name.startswith(word)]
    held = [name for name in closest if len(word) >= _A_PART and word in name]
    near = [*begun, *difflib.get_close_matches(word, closest, n=count), *held]
    return list(dict.fromkeys(near))[:count]
