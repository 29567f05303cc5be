"""The registry: which task is measured on which datasets, by which metrics. Parsed once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from coordinator.domain.names import item_id_problem
from coordinator.errors import BadInput, Problem
from coordinator.metrics import LABEL_METRICS, MetricSpec, OwnSpec, parse_metrics
from coordinator.scoring.datasets import (
    JSONL_ROLES,
    Dataset,
    Roles,
    read_records,
    read_text_pair,
)
from coordinator.scoring.records import csv_records, jsonl_records
from coordinator.settings import YamlDocument, nearest, problems_of, read_yaml

_ListOfNames = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_P = TypeVar("_P", bound=_Part)


class _Source(_Part):
    """One dataset of the registry. Paths start at the registry's folder."""

    languages: tuple[str, str] = ("", "")  # source and target

    def read(self, name: str, base: Path) -> list[Dataset]:
        raise NotImplementedError

    @property
    def has_labels(self) -> bool:
        raise NotImplementedError


class TextPair(_Source):
    """Line-aligned text files."""

    format: Literal["text"]
    source: Path | None = None
    reference: Annotated[
        tuple[Path, ...], BeforeValidator(lambda v: [v] if isinstance(v, str) else v)
    ] = ()
    labels: Path | None = None

    def read(self, name: str, base: Path) -> list[Dataset]:
        source, labels = (base / p if p else None for p in (self.source, self.labels))
        return read_text_pair(
            name, self.languages, source, [base / p for p in self.reference], labels
        )

    @property
    def has_labels(self) -> bool:
        return self.labels is not None

    @property
    def says_what(self) -> bool:
        return bool(self.reference) != self.has_labels


class _Fields(_Part):
    """Which field, or column, is what."""

    id: str = ""
    source: str = ""
    reference: _ListOfNames = ()
    label: str = ""
    tags: _ListOfNames = ()
    source_language: str = ""
    target_language: str = ""

    def roles(self) -> Roles:
        return Roles(
            self.id, self.source, self.reference, self.label, self.tags,
            self.source_language, self.target_language,
        )  # fmt: skip

    @property
    def says_what(self) -> bool:
        return bool(self.reference) != bool(self.label)


class JsonLines(_Source):
    """A JSON object a line."""

    format: Literal["jsonl"]
    file: Path
    fields: _Fields | None = None  # None = sourceText, targetText and so on

    def read(self, name: str, base: Path) -> list[Dataset]:
        path = base / self.file
        roles = self.fields.roles() if self.fields else JSONL_ROLES
        return read_records(name, self.languages, jsonl_records(path), roles, str(path))

    @property
    def has_labels(self) -> bool:
        return self.fields is not None and bool(self.fields.label)

    @property
    def says_what(self) -> bool:
        return self.fields is None or self.fields.says_what


class Table(_Source):
    """CSV whose first row names the columns."""

    format: Literal["csv"]
    file: Path
    columns: _Fields
    delimiter: Literal[",", ";", "\t", "|"] = ","

    def read(self, name: str, base: Path) -> list[Dataset]:
        path = base / self.file
        records = csv_records(path, self.delimiter)
        return read_records(name, self.languages, records, self.columns.roles(), str(path))

    @property
    def has_labels(self) -> bool:
        return bool(self.columns.label)

    @property
    def says_what(self) -> bool:
        return self.columns.says_what


_FORMATS: Mapping[str, type[TextPair | JsonLines | Table]] = {
    "text": TextPair,
    "jsonl": JsonLines,
    "csv": Table,
}


class _Entry(_Part):
    """One task, as the file has it."""

    datasets: _ListOfNames = Field(min_length=1)
    metrics: list[str | dict[str, Any]]


@dataclass(frozen=True)
class RegisteredTask:
    """What is measured together.

    Attributes:
        sources: name of a dataset -> where it comes from.
    """

    name: str
    sources: Mapping[str, TextPair | JsonLines | Table]
    metrics: tuple[MetricSpec, ...]
    base: Path

    def datasets(self) -> list[Dataset]:
        """Read them all.

        Raises:
            BadInput: a file cannot be used.
        """
        return [
            made for name, source in self.sources.items() for made in source.read(name, self.base)
        ]


@dataclass(frozen=True)
class Registry:
    """A registry file, checked as a whole; no dataset has been read, and no class loaded."""

    name: str
    tasks: Mapping[str, RegisteredTask]

    def task(self, name: str) -> RegisteredTask:
        """Raises BadInput: it has no such task."""
        if name not in self.tasks:
            known = nearest(name, self.tasks) or f"it has: {', '.join(self.tasks)}"
            raise BadInput(f"{self.name} has no task {name!r}", hint=known)
        return self.tasks[name]


def read_registry(path: Path) -> Registry:
    """The registry in the YAML file at `path`.

    Raises:
        BadInput: every fault, each with its line.
    """
    document = read_yaml(path)
    reader = _Reader(document, path.absolute().parent)
    tasks = reader.tasks()
    if reader.problems:
        raise BadInput(
            f"the registry {path} cannot be used",
            problems=reader.problems,
            hint="docs/metrics.md lists every key",
        )
    return Registry(str(path), tasks)


class _Reader:
    """Reads the parts of a registry, and collects what is wrong with them."""

    def __init__(self, document: YamlDocument, base: Path) -> None:
        self._document, self._base = document, base
        self.problems: list[Problem] = []
        for key in document.data.keys() - {"datasets", "tasks"}:
            self._fault(
                (str(key),), f"unknown key {key!r}", nearest(str(key), ["datasets", "tasks"])
            )
        self._sources = dict(self._read_sources())

    def tasks(self) -> dict[str, RegisteredTask]:
        found = {}
        for name, data in self._section("tasks"):
            if (entry := self._valid(_Entry, data, ("tasks", name))) is not None:
                found[name] = self._task(name, entry)
        return found

    def _read_sources(self) -> Iterator[tuple[str, TextPair | JsonLines | Table | None]]:
        for name, data in self._section("datasets"):
            where = ("datasets", name)
            if problem := item_id_problem(name):
                self._fault(where, f"dataset {name!r}: {problem}")
            kind = str(data.get("format")) if isinstance(data, dict) else "None"
            if kind not in _FORMATS:
                known = nearest(kind, _FORMATS) or f"one of {', '.join(_FORMATS)}"
                self._fault((*where, "format"), f"`format` is {kind}", known)
                yield name, None
                continue
            source = self._valid(_FORMATS[kind], data, where)
            if source is not None and not source.says_what:
                self._fault(where, f"dataset {name!r} needs a reference or a label, and not both")
            yield name, source

    def _task(self, name: str, entry: _Entry) -> RegisteredTask:
        where = ("tasks", name)
        sources = {}
        for number, dataset in enumerate(entry.datasets):
            if dataset not in self._sources:
                at = (*where, "datasets", number)
                self._fault(at, f"unknown dataset {dataset!r}", nearest(dataset, self._sources))
            elif (source := self._sources[dataset]) is not None:
                sources[dataset] = source
        metrics = self._metrics(entry, (*where, "metrics"))
        for dataset, source in sources.items():
            self._check_fit(where, dataset, source, metrics)
        return RegisteredTask(name, sources, metrics, self._base)

    def _metrics(self, entry: _Entry, path: tuple[str | int, ...]) -> tuple[MetricSpec, ...]:
        where = self._document.where(path)
        try:
            return parse_metrics(entry.metrics, where=where, base=self._base, own=True)
        except BadInput as error:
            self.problems += error.problems
            return ()

    def _check_fit(
        self,
        where: tuple[str | int, ...],
        dataset: str,
        source: TextPair | JsonLines | Table,
        metrics: tuple[MetricSpec, ...],
    ) -> None:
        """A metric of one's own may be for texts or for labels; of ours, each is for one."""
        for metric in metrics:
            wants_labels = metric.kind in LABEL_METRICS
            if isinstance(metric, OwnSpec) or wants_labels == source.has_labels:
                continue
            has, wants = ("labels", "references") if source.has_labels else ("no labels", "labels")
            self._fault((*where, "metrics"), f"{metric.name} needs {wants}; {dataset} has {has}")

    def _section(self, name: str) -> Iterator[tuple[str, Any]]:
        data = self._document.data.get(name)
        if not isinstance(data, dict) or not data:
            self._fault((name,), f"`{name}` is no mapping of names")
            return
        yield from ((str(key), value) for key, value in data.items())

    def _valid(self, part: type[_P], data: object, where: tuple[str, ...]) -> _P | None:
        try:
            return part.model_validate(data)
        except ValidationError as error:
            known = {*part.model_fields, *_Fields.model_fields}
            self.problems += problems_of(error, self._document.below(where), known)
            return None

    def _fault(self, path: tuple[str | int, ...], reason: str, fix: str = "") -> None:
        self.problems.append(Problem(self._document.where(path), reason, fix))
