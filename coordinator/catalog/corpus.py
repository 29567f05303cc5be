"""Folders of aligned text: one file a language, the same sentences line by line."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from coordinator.catalog.items import is_language
from coordinator.domain.text import read_lines
from coordinator.errors import BadInput, Problem
from coordinator.storage.hrefs import shown
from coordinator.storage.locations import open_location


@dataclass(frozen=True)
class Corpus:
    """The languages of a folder.

    Attributes:
        texts: language -> its file, sorted by language.
        sentences: lines that each of them has.
        skipped: file name -> why it is not among them.
    """

    texts: Mapping[str, Path]
    sentences: int
    skipped: Mapping[str, str]


def read_corpus(
    folder: Path, split: str, on_file: Callable[[int, int], None] | None = None
) -> Corpus:
    """The text files of `folder` for `split`, every one read and counted.

    Layouts, the first of which any file is found wins: `<split>/<lang>.<split>`, `<lang>.<split>`,
    `<lang>.txt`. Empty files and those not named like a language are skipped.

    Raises:
        BadInput: fewer than two languages, files that are not UTF-8, or of unequal line counts.
    """
    files, skipped = _files(folder, split)
    counts: dict[str, int] = {}
    problems: list[Problem] = []
    for number, (language, path) in enumerate(files.items(), start=1):
        try:
            counts[language] = _count(path)
        except BadInput as error:
            problems.append(Problem(shown(str(path)), str(error), error.hint))
        if on_file:
            on_file(number, len(files))
    skipped |= {files[lang].name: "it is empty" for lang, count in counts.items() if not count}
    full = {language: count for language, count in counts.items() if count}
    _check(folder, split, files, full, problems)
    return Corpus(
        {language: files[language] for language in full}, next(iter(full.values())), skipped
    )


def _files(folder: Path, split: str) -> tuple[dict[str, Path], dict[str, str]]:
    """Language -> file of the first layout with any; and the names that are no language's."""
    if not folder.is_dir():
        raise BadInput(
            f"{shown(str(folder))} is no folder",
            hint="give the folder with one text file a language",
        )
    for where, ending in ((folder / split, split), (folder, split), (folder, "txt")):
        found = dict(_with_ending(where, ending))
        texts = {name: path for name, path in found.items() if is_language(name)}
        if texts:
            others = found.keys() - texts.keys()
            return texts, {found[n].name: "its name is no language code" for n in sorted(others)}
    raise BadInput(
        f"{shown(str(folder))} has no text of the split {split}",
        why=f"neither {split}/<lang>.{split} nor <lang>.{split} nor <lang>.txt is there",
        hint="check the folder and --split",
    )


def _with_ending(folder: Path, ending: str) -> Iterator[tuple[str, Path]]:
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.name.endswith(f".{ending}") and path.is_file():
                yield path.name.removesuffix(f".{ending}"), path


def _count(path: Path) -> int:
    with open_location(str(path)) as stream:
        return len(read_lines(stream.read()))


def _check(
    folder: Path,
    split: str,
    files: Mapping[str, Path],
    counts: Mapping[str, int],
    problems: list[Problem],
) -> None:
    usual = Counter(counts.values()).most_common(1)[0][0] if counts else 0
    unequal = [
        Problem(shown(str(files[language])), f"{count} lines, where most have {usual}")
        for language, count in counts.items()
        if count != usual
    ]
    if problems or unequal:
        raise BadInput(
            f"the texts in {shown(str(folder))} cannot be paired line by line",
            why=f"{len(problems) + len(unequal)} of {len(files)} files cannot be read, or have "
            f"another number of lines than the others ({usual})",
            hint="mend or remove these files",
            problems=[*problems, *unequal],
        )
    if len(counts) < 2:
        raise BadInput(
            f"{shown(str(folder))} has text in {len(counts)} language(s) of the split {split}",
            why="a direction needs two",
            hint="check the folder and --split",
        )
