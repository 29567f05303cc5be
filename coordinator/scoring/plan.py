"""What is to be scored: the directions that there are, and those that are missing."""

import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

from coordinator.domain.names import item_id_problem
from coordinator.domain.text import read_lines
from coordinator.errors import BadInput, Problem
from coordinator.scoring.files import read_file
from coordinator.scoring.folders import Languages, find_predictions, find_references
from coordinator.scoring.names import languages_of


@dataclass(frozen=True)
class Direction:
    """One item that can be scored.

    Attributes:
        item: its name, fit to be a folder's.
        size: of its translations, in bytes.
        source_text: what was translated, where it is at hand.
        tags: a file of each sentence's tags, in place of that of the whole scoring.
    """

    item: str
    source: str
    target: str
    hypotheses: Path
    references: tuple[Path, ...]
    size: int
    source_text: Path | None = None
    tags: Path | None = None


@dataclass(frozen=True)
class Plan:
    """All that is expected, in order of name, and what cannot be scored.

    Attributes:
        expected: item -> source and target; ("", "") where its name does not tell.
        directions: those that can be tried.
        problems: one for each that cannot, and for files that are nobody's.
    """

    expected: Mapping[str, tuple[str, str]]
    directions: Sequence[Direction]
    problems: Sequence[Problem]


def plan(
    predictions: Path,
    references: Path,
    *,
    expected: Path | None = None,
    all_pairs: bool = False,
    sources: Path | None = None,
    known: Collection[str] = (),
) -> Plan:
    """What the folders come to.

    Args:
        predictions: the folder of translations; see `folders`.
        references: the folder of references; see `folders`.
        expected: a file of the items that there should be, one a line; those beyond it are left.
        all_pairs: expected is every ordered pair of the references' languages.
        sources: a folder of source texts, called like references.
        known: languages that may be sources beside those of the references.

    Raises:
        BadInput: a folder or the list cannot be used.
    """
    found, problems = find_predictions(predictions)
    texts = find_references(references)
    pairs = [f"{a}-{b}" for a, b in permutations(sorted(texts), 2)] if all_pairs else None
    wanted = _read_list(expected) if expected else pairs
    items = list(found) + [p.where for p in problems] if wanted is None else wanted
    made = _planned(sorted(set(items)), found, texts, problems, known)
    return _with_sources(made, find_references(sources)) if sources else made


def _planned(
    items: Sequence[str],
    found: Mapping[str, Path],
    texts: Languages,
    problems: Sequence[Problem],
    known: Collection[str],
) -> Plan:
    """The plan; an item has at most one problem."""
    faults = {problem.where: problem for problem in problems if problem.where in set(items)}
    expected, directions = {}, []
    for item in items:
        expected[item], fault = _languages(item, texts, known)
        made = fault or faults.get(item) or _direction(item, expected[item], found, texts)
        if isinstance(made, Direction):
            directions.append(made)
        else:
            faults.setdefault(item, made)
    return Plan(expected, directions, [faults[where] for where in sorted(faults)])


def _with_sources(plan: Plan, texts: Languages) -> Plan:
    """A source whose text is not there is not looked at."""
    directions = [
        replace(direction, source_text=texts[direction.source][0])
        if direction.source in texts
        else direction
        for direction in plan.directions
    ]
    return replace(plan, directions=directions)


def _languages(
    item: str, texts: Languages, known: Collection[str]
) -> tuple[tuple[str, str], Problem | None]:
    try:
        return languages_of(item, texts, known), None
    except BadInput as error:
        return ("", ""), Problem(item, str(error), error.hint)


def _direction(
    item: str, languages: tuple[str, str], found: Mapping[str, Path], texts: Languages
) -> Direction | Problem:
    source, target = languages
    if item not in found:
        return Problem(item, "no translations")
    try:
        status = found[item].lstat()
    except OSError:
        return Problem(item, f"no {found[item].name}", "was it translated?")
    if not stat.S_ISREG(status.st_mode):
        return Problem(item, f"{found[item].name} is no plain file", "links are not followed")
    return Direction(item, source, target, found[item], tuple(texts[target]), status.st_size)


def _read_list(path: Path) -> list[str]:
    """The items in a file, one a line.

    Raises:
        BadInput: it cannot be read, is empty, or holds what is no item's name.
    """
    items = [line.strip() for line in read_lines(read_file(path, "check --expected"))]
    numbered = [(number, item) for number, item in enumerate(items, start=1) if item]
    problems = [
        Problem(f"{path}:{number}", reason)
        for number, item in numbered
        if (reason := item_id_problem(item))
    ]
    if problems or not numbered:
        raise BadInput(
            f"the list of expected items {path} cannot be used",
            why="" if problems else "it names nothing",
            hint="write one <source>-<target> a line",
            problems=problems,
        )
    return [item for _, item in numbered]
