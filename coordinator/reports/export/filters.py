"""Conditions on rows: FIELD=VALUE, FIELD!=VALUE, FIELD<NUMBER, FIELD>NUMBER, and no language."""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.domain.states import FailureKind
from coordinator.errors import UsageError
from coordinator.reports.export.fields import Column, check_names, columns_of
from coordinator.reports.history import Progress, Standing
from coordinator.reports.items import Items
from coordinator.reports.rows import Row

_CONDITION = re.compile(r"([^=!<>]+)(!=|=|<|>)(.*)", re.DOTALL)
_FORMS = "FIELD=VALUE, FIELD!=VALUE, FIELD<NUMBER or FIELD>NUMBER, in quotes"
_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Condition:
    """One condition. `value`: None = the field is empty."""

    column: Column
    sign: str
    value: str | float | None

    def holds(self, row: Row) -> bool:
        """Nothing is known to be less or more than something where it is not known at all."""
        found = self.column.of(row)
        found = None if found == "" else found
        if self.sign in "<>" and found is None:
            return False
        return _SIGNS[self.sign](found, self.value)


def conditions(texts: Sequence[str], items: Items) -> list[Condition]:
    """What was asked for.

    Raises:
        UsageError: no condition, a field that there is not, or a value that no item can have.
    """
    known = columns_of(items)
    return [_condition(text, known, items) for text in texts]


def kept(rows: Iterable[Row], wanted: Sequence[Condition]) -> Iterator[Row]:
    """The rows for which all of the conditions hold."""
    return (row for row in rows if all(condition.holds(row) for condition in wanted))


def _condition(text: str, known: Mapping[str, Column], items: Items) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UsageError(f"--filter {text!r} is no condition", hint=f"write {_FORMS}")
    name, sign, value = match[1].strip(), match[2], match[3].strip()
    check_names([name], known, "field")
    column = known[name]
    if not column.field.is_flat:
        raise UsageError(
            f"field {name} cannot be filtered by", why="it holds several values", hint=f"{_FORMS}"
        )
    if not value and sign in ("=", "!="):
        return Condition(column, sign, None)
    if column.field.type != "string" or sign in "<>":
        return Condition(column, sign, _number(text, column, value))
    _check_value(name, value, items)
    return Condition(column, sign, value)


def _number(text: str, column: Column, value: str) -> float:
    if column.field.type == "string":
        raise UsageError(
            f"--filter {text!r} cannot be", why=f"{column.name} is no number", hint="take = or !="
        )
    try:
        return float(value)
    except ValueError as error:
        why = f"{column.name} is a number"
        raise UsageError(f"--filter {text!r} cannot be", why=why, hint=f"write {_FORMS}") from error


def _check_value(name: str, value: str, items: Items) -> None:
    """Fields of few values are not filtered by another one without a word."""
    known = _values(name, items)
    if known is not None:
        check_names([value], known, name.replace("_", " "))


def _values(name: str, items: Items) -> list[str] | None:
    """All that can stand in the field; None = anything."""
    match name:
        case "state":
            return list(Standing)
        case "kind":
            return list(FailureKind)
        case "progress":
            return list(Progress)
        case "step":
            return list(items.steps)
        case "item":
            return list(items.ids)
        case "source_language" | "target_language":
            return sorted({row[name] for row in items.rows() if row[name]})
    return None
