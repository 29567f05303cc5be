"""A validation error in the words of the person who wrote the file."""

from collections.abc import Iterable

from pydantic import ValidationError

from coordinator.errors import Problem
from coordinator.settings.near import nearest
from coordinator.settings.strict_yaml import YamlDocument


def problems_of(
    error: ValidationError, document: YamlDocument, known: Iterable[str]
) -> list[Problem]:
    """Every fault of `error` with its line; an unknown key with the nearest of the `known` ones."""
    names = sorted(set(known))
    return [
        _problem(fault["loc"], fault["type"], fault["msg"], document, names)
        for fault in error.errors(include_url=False, include_input=False)
    ]


def _problem(
    path: tuple[str | int, ...],
    fault: str,
    message: str,
    document: YamlDocument,
    names: list[str],
) -> Problem:
    field = ".".join(str(part) for part in path)
    where = document.where(path)
    if fault == "extra_forbidden":
        return Problem(
            where, f"unknown key {str(path[-1])!r}", nearest(str(path[-1]), names), field
        )
    return Problem(where, message.removeprefix("Value error, "), field=field)
