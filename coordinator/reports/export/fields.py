"""Which fields of a row are written, and what stands in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.domain.shown import for_terminal
from coordinator.errors import UsageError
from coordinator.reports.items import LIMITED, Items
from coordinator.reports.rows import FIELDS, Field, Row
from coordinator.settings import among

SCORE = "score_"  # and a metric: a column of its own, where a table has no mappings
_SCORES = "scores"
_LIMITED = Field(LIMITED, "string", "", "what was left out of the batch, in words")


@dataclass(frozen=True)
class Column:
    """One field as it is written. `metric`: of a score; "" = it is no score by itself."""

    field: Field
    metric: str = ""

    @property
    def name(self) -> str:
        return self.field.name

    def of(self, row: Row) -> Any:
        return row[_SCORES].get(self.metric) if self.metric else row.get(self.field.name)


def columns_of(items: Items) -> dict[str, Column]:
    """All that a row can be asked for, by name."""
    fields = (*FIELDS, _LIMITED)
    scores = (Column(_score(metric), metric) for metric in items.metrics)
    return {c.name: c for c in (*(Column(field) for field in fields), *scores)}


def chosen(items: Items, wanted: Sequence[str], *, flat: bool, nested: bool) -> list[Column]:
    """The columns to be written, in order.

    Args:
        items: the batch.
        wanted: names; none = all that the format can hold.
        flat: scores in columns of their own, and not as one mapping.
        nested: whether the format can hold lists.

    Raises:
        UsageError: a name that there is not, or one that the format cannot hold.
    """
    known = columns_of(items)
    if not wanted:
        names = [name for name in known if _is_usual(known[name], items, flat)]
        return [known[name] for name in names if nested or known[name].field.is_flat]
    check_names(wanted, known, "field")
    for name in wanted:
        if not nested and not known[name].field.is_flat:
            raise UsageError(
                f"field {name} does not fit into a cell",
                why="it holds several values",
                hint=f"take {SCORE}METRIC for a score, or --format ndjson",
            )
    return [known[name] for name in dict.fromkeys(wanted)]


def check_names(wanted: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raises UsageError: one of them is not known, with the nearest that are."""
    names = list(known)
    for name in wanted:
        if name not in names:
            hint = among(for_terminal(name), map(for_terminal, names), what, len(names))
            raise UsageError(f"there is no {what} {name!r}", hint=hint)


def _is_usual(column: Column, items: Items, flat: bool) -> bool:
    if column.name == LIMITED:
        return bool(items.limited)
    if column.name == _SCORES:
        return not flat
    return flat or not column.metric


def _score(metric: str) -> Field:
    return Field(f"{SCORE}{metric}", "number", "", f"its score in {metric}")
