"""Stored predictions and references, as they lie in folders.

predictions   <item>/translations.jsonl, below the folder or below items/ in it (as a batch
              leaves them), or <item>.txt, or <item>.jsonl
references    <language>.txt, or several: <language>.<n>.txt
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from coordinator.domain.names import item_id_problem
from coordinator.errors import BadInput, Problem

TRANSLATIONS = "translations.jsonl"
_SUFFIXES = (".txt", ".jsonl")
_NUMBER = re.compile("[0-9]{0,9}")

Languages = Mapping[str, Sequence[Path]]  # language -> its files


def find_predictions(folder: Path) -> tuple[dict[str, Path], list[Problem]]:
    """Item -> its file, sorted by item; and what cannot be used. Links are not followed.

    Raises:
        BadInput: the folder cannot be read, or holds nothing of the kind.
    """
    inside = folder / "items"
    base = inside if inside.is_dir() and not inside.is_symlink() else folder
    found: defaultdict[str, list[Path]] = defaultdict(list)
    problems = []
    for name, path in _candidates(base):
        if reason := item_id_problem(name):
            problems.append(Problem(path.name, reason, "rename it"))
        else:
            found[name].append(path)
    if not found and not problems:
        raise BadInput(
            f"{folder} holds no predictions",
            hint=f"put <source>-<target>.txt or <source>-<target>/{TRANSLATIONS} there",
        )
    problems += [_twice(name, paths) for name, paths in sorted(found.items()) if len(paths) > 1]
    return {name: found[name][0] for name in sorted(found) if len(found[name]) == 1}, problems


def find_references(folder: Path) -> Languages:
    """The reference files of each language, sorted by language and number.

    Raises:
        BadInput: the folder cannot be read, or holds none.
    """
    found: defaultdict[str, list[tuple[int, Path]]] = defaultdict(list)
    for entry in _entries(folder):
        stem, suffix = os.path.splitext(entry.name)
        language, _, number = stem.partition(".")
        is_named = not item_id_problem(language) and _NUMBER.fullmatch(number)
        if suffix == ".txt" and is_named and entry.is_file():
            found[language].append((int(number or 0), Path(entry.path)))
    if not found:
        raise BadInput(
            f"{folder} holds no references", hint="put <language>.txt there, one sentence a line"
        )
    return {name: [path for _, path in sorted(found[name])] for name in sorted(found)}


def _candidates(folder: Path) -> Iterator[tuple[str, Path]]:
    """What looks like an item, by the name that the item would have."""
    for entry in _entries(folder):
        stem, suffix = os.path.splitext(entry.name)
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield entry.name, Path(entry.path, TRANSLATIONS)
        elif suffix in _SUFFIXES and entry.is_file(follow_symlinks=False):
            yield stem, Path(entry.path)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise BadInput(
            f"the folder {folder} cannot be read",
            why=error.strerror or str(error),
            hint="give a folder that is there to --predictions, --references and --sources",
        ) from error


def _twice(item: str, paths: Sequence[Path]) -> Problem:
    names = " and ".join(sorted(_shown(path) for path in paths))
    return Problem(item, f"two files hold its translations: {names}", "remove one")


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}" if path.name == TRANSLATIONS else path.name
