"""A static STAC collection of every direction of a folder of aligned text."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coordinator.catalog.base import Progress
from coordinator.catalog.corpus import Corpus, read_corpus
from coordinator.catalog.items import (
    SENTENCES,
    SOURCE_LANGUAGE,
    SPLIT,
    TARGET_LANGUAGE,
    is_split,
)
from coordinator.domain.names import item_id_problem
from coordinator.errors import BadInput, Problem, UsageError
from coordinator.storage.hrefs import shown

STAC_VERSION = "1.1.0"
COLLECTION_FILE = "collection.json"
ITEM_FOLDER = "items"
MADE_BY = ("mt:made_by", "coordinator items from-text")  # what says that a folder may be replaced
PROGRESS_EVERY = 500

Json = dict[str, Any]


@dataclass(frozen=True)
class CollectionSummary:
    """What was made.

    Attributes:
        catalog: the collection's file, as `--catalog` takes it.
        items: how many directions there are.
        languages: sorted.
        sentences: lines of each text.
        skipped: name of a file that was left out -> why.
    """

    catalog: Path
    items: int
    languages: tuple[str, ...]
    sentences: int
    skipped: Mapping[str, str]

    @property
    def sentence_pairs(self) -> int:
        return self.items * self.sentences


@dataclass(frozen=True)
class _Direction:
    """One item to be written."""

    id: str
    source: str
    target: str

    @property
    def path(self) -> str:
        """Below the collection's folder."""
        return f"{ITEM_FOLDER}/{self.target}/{self.id}.json"


def make_collection(
    folder: Path,
    split: str,
    out: Path,
    *,
    collection_id: str | None = None,
    on_progress: Progress | None = None,
) -> CollectionSummary:
    """Write a collection of every direction of the texts in `folder` to the folder `out`.

    Texts are not copied: items name them relative to themselves. `out` appears whole or not at all;
    one that this function made before is replaced.

    Raises:
        UsageError: a collection id or split that cannot be in an id; `out` holds something else.
        BadInput: texts that cannot be paired (see `read_corpus`), or ids that collide.
    """
    collection = collection_id if collection_id is not None else folder.resolve().name
    home = Path(os.path.realpath(out))  # relative hrefs climb real folders, not links
    _check_names(collection, split)
    _refuse_foreign(home)
    counted = _staged(on_progress, "counting lines")
    corpus = read_corpus(folder, split, counted)
    directions = _directions(collection, split, tuple(corpus.texts))
    _write_whole(home, collection, split, corpus, directions, on_progress)
    return CollectionSummary(
        catalog=out / COLLECTION_FILE,
        items=len(directions),
        languages=tuple(corpus.texts),
        sentences=corpus.sentences,
        skipped=corpus.skipped,
    )


def _staged(on_progress: Progress | None, stage: str) -> Any:
    return (lambda done, total: on_progress(stage, done, total)) if on_progress else None


def _check_names(collection: str, split: str) -> None:
    if reason := item_id_problem(collection):
        raise UsageError(
            f"{collection!r} cannot be a collection's id",
            why=reason,
            hint="give another with --collection",
        )
    if not is_split(split):
        raise UsageError(f"{split!r} cannot be a split's name", hint="try dev, devtest or test")


def _refuse_foreign(out: Path) -> None:
    """Only what an earlier call made, and nothing beside it, may be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if out.is_dir() and {p.name for p in out.iterdir()} <= {COLLECTION_FILE, ITEM_FOLDER}:
        with suppress(OSError, ValueError, AttributeError):
            document = json.loads((out / COLLECTION_FILE).read_bytes())
            if document.get(MADE_BY[0]) == MADE_BY[1]:
                return
    raise UsageError(
        f"{shown(str(out))} is not empty",
        why="it holds something else than a collection made by items from-text",
        hint="give a new folder with --out",
    )


def _directions(collection: str, split: str, languages: tuple[str, ...]) -> list[_Direction]:
    """All pairs, those into one language together: scorers then read each reference once.

    Raises:
        BadInput: two directions would have one id, e.g. of the languages a, a-b, b-c and c.
    """
    by_id: dict[str, _Direction] = {}
    problems: list[Problem] = []
    for target in languages:
        for source in (language for language in languages if language != target):
            item_id = f"{collection}-{split}-{source}-{target}"
            first = by_id.setdefault(item_id, _Direction(item_id, source, target))
            if (first.source, first.target) != (source, target):
                names = f"{first.source} to {first.target} and {source} to {target}"
                problems.append(Problem(item_id, f"both {names} would have this id"))
            elif reason := item_id_problem(item_id):
                problems.append(Problem(f"{source} to {target}", f"{item_id}: {reason}"))
    if problems:
        raise BadInput(
            "the items cannot be named",
            why=f"{len(problems)} ids collide or are not allowed",
            hint="rename a language's file",
            problems=problems,
        )
    return list(by_id.values())


def _write_whole(
    out: Path,
    collection: str,
    split: str,
    corpus: Corpus,
    directions: list[_Direction],
    on_progress: Progress | None,
) -> None:
    """Into a folder aside, which then takes the place of `out`."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise _unwritable(out, error) from error
    try:
        writer = _Writer(out, collection, split, corpus)
        writer.write(aside, directions, on_progress)
        aside.chmod(0o755)
        _put_in_place(aside, out)
    except OSError as error:
        raise _unwritable(out, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _put_in_place(aside: Path, out: Path) -> None:
    if out.is_dir() and any(out.iterdir()):
        # Two renames: in between `out` is missing, but never half of one and half of the other.
        old = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
        os.rename(out, old)
        os.rename(aside, out)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(aside, out)


def _unwritable(out: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{shown(str(out))} cannot be written",
        why=error.strerror or str(error),
        hint="check the rights and the disk, or give another folder with --out",
    )


class _Writer:
    """Writes the documents of one collection; `home` is where they will lie in the end."""

    def __init__(self, home: Path, collection: str, split: str, corpus: Corpus) -> None:
        self._home, self._collection, self._split = home, collection, split
        self._corpus = corpus
        self._files = {lang: os.path.realpath(path) for lang, path in corpus.texts.items()}
        self._changed = {lang: os.stat(path).st_mtime for lang, path in self._files.items()}

    def write(
        self, folder: Path, directions: list[_Direction], on_progress: Progress | None
    ) -> None:
        for language in self._files:
            (folder / ITEM_FOLDER / language).mkdir(parents=True)
        hrefs = dict(self._hrefs())
        for number, direction in enumerate(directions, start=1):
            item = self._item(direction, hrefs)
            (folder / direction.path).write_text(_text(item), encoding="utf-8")
            if on_progress and (number % PROGRESS_EVERY == 0 or number == len(directions)):
                on_progress("writing items", number, len(directions))
        collection = self._collection_document(directions)
        (folder / COLLECTION_FILE).write_text(_text(collection), encoding="utf-8")

    def _hrefs(self) -> Iterator[tuple[str, str]]:
        """Language -> its text, relative to any item: all item files lie equally deep."""
        start = self._home / ITEM_FOLDER / "x"
        for language, path in self._files.items():
            yield language, Path(os.path.relpath(path, start)).as_posix()

    def _item(self, direction: _Direction, hrefs: Mapping[str, str]) -> Json:
        source, target = direction.source, direction.target
        home = {"href": f"../../{COLLECTION_FILE}", "type": "application/json"}
        return {
            "type": "Feature",
            "stac_version": STAC_VERSION,
            "id": direction.id,
            "collection": self._collection,
            "geometry": None,
            "properties": {
                "datetime": _time(max(self._changed[source], self._changed[target])),
                SOURCE_LANGUAGE: source,
                TARGET_LANGUAGE: target,
                SPLIT: self._split,
                SENTENCES: self._corpus.sentences,
            },
            "assets": {
                "source": _asset(hrefs[source], "source"),
                "reference": _asset(hrefs[target], "reference"),
            },
            "links": [{"rel": relation, **home} for relation in ("root", "parent", "collection")],
        }

    def _collection_document(self, directions: list[_Direction]) -> Json:
        first, last = min(self._changed.values()), max(self._changed.values())
        return {
            "type": "Collection",
            "stac_version": STAC_VERSION,
            "id": self._collection,
            "description": f"Every direction of {len(self._files)} languages, split {self._split}",
            "license": "other",
            MADE_BY[0]: MADE_BY[1],
            "extent": {
                "spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]},
                "temporal": {"interval": [[_time(first), _time(last)]]},
            },
            "summaries": {
                SOURCE_LANGUAGE: list(self._files),
                TARGET_LANGUAGE: list(self._files),
                SPLIT: [self._split],
            },
            "links": [
                {"rel": "root", "href": f"./{COLLECTION_FILE}", "type": "application/json"},
                *(
                    {"rel": "item", "href": f"./{d.path}", "type": "application/geo+json"}
                    for d in directions
                ),
            ],
        }


def _asset(href: str, role: str) -> Json:
    return {"href": href, "type": "text/plain; charset=utf-8", "roles": [role]}


def _time(seconds: float) -> str:
    """When a text was last changed, as STAC asks for a time: RFC 3339, in UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(document: Json) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"
