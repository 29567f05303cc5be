"""The files that items name, each read once however many items share it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from coordinator.catalog.base import Progress
from coordinator.catalog.needs import Needs
from coordinator.catalog.stored import StoredMap
from coordinator.domain.cost import tokens_in
from coordinator.domain.items import WorkItem
from coordinator.domain.text import read_lines
from coordinator.errors import BadInput, CredentialsError, SourceUnreachable
from coordinator.parallel import ordered_map
from coordinator.storage.hrefs import is_remote
from coordinator.storage.locations import open_location

PROGRESS_EVERY = 16


@dataclass(frozen=True)
class Facts:
    """What is known of a file.

    Attributes:
        lines: how many lines it has, where it was read as text.
        tokens: about how many tokens these are.
        fault: why it cannot be used, or "".
    """

    lines: int | None = None
    fault: str = ""
    tokens: int = 0


def examine(
    items: Iterable[WorkItem], needs: Needs, on_progress: Progress | None = None
) -> Mapping[str, Facts]:
    """The facts of every file that the items must have, by location.

    Raises:
        SourceUnreachable: a server does not answer, so nothing can be said of its files.
    """
    todo = _files(items, needs)
    facts = StoredMap(_to_json, _of_json)
    for location, found in _examined(todo):
        facts[location] = found
        if on_progress and (len(facts) % PROGRESS_EVERY == 0 or len(facts) == len(todo)):
            on_progress("checking files", len(facts), len(todo))
    return facts


def _files(items: Iterable[WorkItem], needs: Needs) -> Mapping[str, bool]:
    """Location -> whether it is read as text."""
    files: StoredMap[bool] = StoredMap()
    for item in items:
        for name in needs.all_assets & item.assets.keys():
            location, is_text = item.assets[name], name in needs.texts
            if is_text or location not in files:
                files[location] = is_text
    return files


def _examined(files: Mapping[str, bool]) -> Iterator[tuple[str, Facts]]:
    near = ((location, text) for location, text in files.items() if not is_remote(location))
    yield from map(_examine_one, near)
    far = ((location, text) for location, text in files.items() if is_remote(location))
    yield from ordered_map(_examine_one, far)


def _examine_one(file: tuple[str, bool]) -> tuple[str, Facts]:
    location, text = file
    try:
        return location, _text_facts(location) if text else _probe(location)
    except CredentialsError as error:
        raise SourceUnreachable(error.what, why=error.why, hint=error.hint) from error
    except SourceUnreachable:
        raise
    except BadInput as error:
        return location, Facts(fault=str(error))


def _probe(location: str) -> Facts:
    """Opens it and reads the first bytes only."""
    with open_location(location) as stream:
        return Facts() if stream.read(1) else Facts(fault="the file is empty")


def _to_json(facts: Facts) -> list[int | str | None]:
    return [facts.lines, facts.fault, facts.tokens]


def _of_json(document: list[Any]) -> Facts:
    return Facts(*document)


def _text_facts(location: str) -> Facts:
    with open_location(location) as stream:
        lines = read_lines(stream.read())
    if not any(line.strip() for line in lines):
        return Facts(fault="the file is empty" if not lines else "the file has blank lines only")
    return Facts(lines=len(lines), tokens=tokens_in(lines))
