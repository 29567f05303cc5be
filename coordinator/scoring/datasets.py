"""Datasets from text files, JSON lines and CSV: all come to one type, one per direction.

Every reader takes the whole file and tells all that is wrong with it, by line. A text of several
lines becomes one line, and white space at its end is dropped, as everywhere in scoring.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coordinator.domain.names import item_id_problem
from coordinator.domain.text import is_whole
from coordinator.errors import BadInput, Problem
from coordinator.scoring.records import Numbered, text_lines

_LINE_ENDS = re.compile(r"[\r\n]+")
_SHOWN = 10  # problems in one message; how many there are is said

Languages = tuple[str, str]  # source and target; "" = not said


@dataclass(frozen=True)
class Dataset:
    """Segments of one direction, column by column, all equally long.

    Attributes:
        name: fit to be a file's: the dataset's, and the direction where it has several.
        languages: source and target; "" where nothing is said.
        sources: none, where there are none.
        references: one or several for each segment; none for labels.
        labels: the right ones; none for texts.
        tags: of each segment; none, where there are none.
    """

    name: str
    languages: Languages
    ids: tuple[str, ...]
    sources: tuple[str, ...] = ()
    references: tuple[tuple[str, ...], ...] = ()
    labels: tuple[str, ...] = ()
    tags: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def expected(self) -> tuple[tuple[str, ...], ...]:
        """What is compared with: the references, or the labels as the only one."""
        return self.references or (self.labels,)


@dataclass(frozen=True)
class Roles:
    """Which field of a record is what; "" = there is none."""

    id: str = ""
    source: str = ""
    references: tuple[str, ...] = ()
    label: str = ""
    tags: tuple[str, ...] = ()
    source_language: str = ""
    target_language: str = ""


JSONL_ROLES = Roles(
    id="id",
    source="sourceText",
    references=("targetText",),
    source_language="sourceLanguage",
    target_language="targetLanguage",
)


def read_text_pair(
    name: str,
    languages: Languages,
    source: Path | None,
    references: Sequence[Path],
    labels: Path | None,
) -> list[Dataset]:
    """Line-aligned files: line n of each is of segment n.

    Raises:
        BadInput: a file cannot be used, or they are not equally long.
    """
    texts = {path: _lines(path) for path in (source, *references, labels) if path is not None}
    counts = {path: len(lines) for path, lines in texts.items()}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{path} has {count:,} lines" for path, count in counts.items())
        raise BadInput(f"the files of {name} differ in length", why=shown)
    size = next(iter(counts.values()))
    made = Dataset(
        name=name,
        languages=languages,
        ids=tuple(map(str, range(1, size + 1))),
        sources=tuple(texts[source]) if source else (),
        references=tuple(tuple(texts[path]) for path in references),
        labels=tuple(texts[labels]) if labels else (),
    )
    return [_checked(made)]


def read_records(
    name: str, languages: Languages, records: Iterable[Numbered], roles: Roles, file: str
) -> list[Dataset]:
    """A dataset for each direction of the records, in order of its first.

    Args:
        name: of the dataset.
        languages: of all records; those that a record names itself win.
        records: with their lines.
        roles: which of their fields is what.
        file: what to call it in messages.

    Raises:
        BadInput: every fault, the first ten by line.
    """
    faults = _Faults(file)
    found: dict[Languages, _Columns] = {}
    for line, record in records:
        if isinstance(record, Problem):
            faults.add(record)
            continue
        reader = _Reader(record, roles, f"{file}:{line}", faults)
        columns = found.setdefault(reader.languages(languages), _Columns())
        columns.take(reader, line)
    faults.raise_if_any()
    if not found:
        raise BadInput(f"{file} holds no records")
    return [
        _checked(columns.made(_named(name, pair, found), pair)) for pair, columns in found.items()
    ]


class _Faults:
    """All that is wrong with a file; the first ones are kept."""

    def __init__(self, file: str) -> None:
        self._file, self._count, self._kept = file, 0, list[Problem]()

    def add(self, problem: Problem) -> None:
        self._count += 1
        if len(self._kept) < _SHOWN:
            self._kept.append(problem)

    def raise_if_any(self) -> None:
        if self._count:
            more = self._count - len(self._kept)
            raise BadInput(
                f"{self._file} cannot be used",
                why=f"{self._count:,} faults"
                + (f", of which {more:,} are not shown" if more else ""),
                problems=self._kept,
            )


class _Reader:
    """What one record says, role by role; what is wrong with it goes to the faults."""

    def __init__(
        self, record: Mapping[str, Any], roles: Roles, where: str, faults: _Faults
    ) -> None:
        self._record, self._roles, self._where, self._faults = record, roles, where, faults

    def languages(self, default: Languages) -> Languages:
        fields = (self._roles.source_language, self._roles.target_language)
        pairs = zip(fields, default, strict=True)
        source, target = (self._text(f, d) if f in self._record else d for f, d in pairs)
        return source, target

    def id(self, line: int) -> str:
        field = self._roles.id
        value = self._record.get(field, line) if field else line
        return str(value) if isinstance(value, int) else self._text(field)

    def source(self) -> str | None:
        field = self._roles.source
        return self._text(field) if field in self._record else None

    def references(self) -> tuple[str, ...]:
        """A field holds one reference, or a list of them."""
        values: list[object] = []
        for name in self._roles.references:
            value = self._record.get(name)
            values += value if isinstance(value, list) and value else [value]
        return tuple(self._checked(value, " ".join(self._roles.references)) for value in values)

    def label(self) -> str | None:
        if not self._roles.label:
            return None
        label = self._text(self._roles.label)
        if not label:
            self._fault("no label", self._roles.label)
        return label

    def tags(self) -> tuple[str, ...]:
        """A field holds one tag, or a list of them."""
        values = [_listed(self._record.get(name)) for name in self._roles.tags]
        tags = (" ".join(str(tag).split()) for value in values for tag in value)
        return tuple(tag for tag in tags if tag)

    def _text(self, field: str, default: str | None = None) -> str:
        return self._checked(self._record.get(field, default), field)

    def _checked(self, value: object, field: str) -> str:
        if not isinstance(value, str):
            self._fault("no text" if value is None else f"{type(value).__name__}, not text", field)
            return ""
        if not is_whole(value):
            self._fault("half a surrogate pair, which is no character", field)
            return ""
        return _one_line(value)

    def _fault(self, reason: str, field: str) -> None:
        self._faults.add(Problem(self._where, reason, field=field))


def _listed(value: object) -> list[object]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


@dataclass
class _Columns:
    """The segments of one direction, as they come."""

    ids: list[str] = field(default_factory=list)
    sources: list[str | None] = field(default_factory=list)
    references: list[tuple[str, ...]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    tags: list[tuple[str, ...]] = field(default_factory=list)

    def take(self, reader: _Reader, line: int) -> None:
        self.ids.append(reader.id(line))
        self.sources.append(reader.source())
        self.tags.append(reader.tags())
        if (label := reader.label()) is not None:
            self.labels.append(label)
        else:
            self.references.append(reader.references())

    def made(self, name: str, languages: Languages) -> Dataset:
        """Raises BadInput: not as many references for each segment."""
        widths = {len(row) for row in self.references}
        if len(widths) > 1:
            raise BadInput(
                f"{name}: from {min(widths)} to {max(widths)} references a segment",
                why="each needs as many as the others",
            )
        with_sources = all(source is not None for source in self.sources)
        return Dataset(
            name=name,
            languages=languages,
            ids=tuple(self.ids),
            sources=tuple(map(str, self.sources)) if with_sources else (),
            references=tuple(zip(*self.references, strict=True)),
            labels=tuple(self.labels),
            tags=tuple(self.tags) if any(self.tags) else (),
        )


def _named(name: str, languages: Languages, found: Mapping[Languages, object]) -> str:
    """The direction is part of the name where there are several."""
    return name if len(found) == 1 else f"{name}.{languages[0]}-{languages[1]}"


def _checked(dataset: Dataset) -> Dataset:
    """Raises BadInput: a name that is fit for no file, ids that occur twice, or nothing in it."""
    if problem := item_id_problem(dataset.name):
        raise BadInput(f"the dataset {dataset.name!r} cannot be used", why=problem)
    if not any(text for column in dataset.expected for text in column):
        raise BadInput(
            f"the dataset {dataset.name} is empty", why="there is nothing to compare with"
        )
    if twice := list(_twice(dataset.ids)):
        shown = ", ".join(map(repr, twice[:_SHOWN]))
        raise BadInput(f"ids occur twice in {dataset.name}", why=shown, hint="name another field")
    return dataset


def _twice(ids: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for each in ids:
        if each in seen:
            yield each
        seen.add(each)


def _lines(path: Path) -> list[str]:
    return [_one_line(line) for _, line in text_lines(path)]


def _one_line(text: str) -> str:
    return _LINE_ENDS.sub(" ", text).rstrip()
