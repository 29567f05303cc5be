"""What a comparison says as plain tables, for whatever they are written in: text or markup."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import groupby

from coordinator.domain.shown import for_terminal
from coordinator.metrics import lower_is_better
from coordinator.reports.comparison.changes import Change
from coordinator.reports.comparison.groups import GroupDifference
from coordinator.reports.comparison.pace import Pace
from coordinator.reports.comparison.result import Comparison, PairedTests
from coordinator.reports.significance import LEVEL, Difference

Cell = str | int | float | None


class Kind(Enum):
    """How the cells of a column are written; None is an empty cell."""

    TEXT = "{}"
    COUNT = "{:,}"
    SCORE = "{:.2f}"
    CHANGE = "{:+.2f}"
    P = "{:.3g}"
    NUMBER = "{:,.0f}"  # three digits or more

    def shown(self, cell: Cell) -> str:
        """The cell on one line, with nothing in it that a terminal would act on."""
        if cell is None:
            return ""
        if isinstance(cell, str):
            return for_terminal(cell)
        return _SHOWN.get(self, self.value.format)(cell)

    @property
    def is_number(self) -> bool:
        return self is not Kind.TEXT


_SHOWN: dict[Kind, Callable[[int | float], str]] = {
    Kind.CHANGE: lambda value: f"{value:+.2f}" if value else "0.00",
    Kind.NUMBER: lambda value: f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}",
}


@dataclass(frozen=True)
class Sheet:
    """One table.

    Attributes:
        columns: name -> how its cells are written.
        notes: sentences below it.
    """

    title: str
    columns: dict[str, Kind]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = field(default_factory=tuple)

    def lines(self) -> Iterator[list[str]]:
        """The rows as they are written."""
        for row in self.rows:
            yield [kind.shown(cell) for kind, cell in zip(self.columns.values(), row, strict=True)]


@dataclass(frozen=True)
class Extent:
    """How much is written.

    Attributes:
        metric: that groups and directions are shown of; "" = the first.
        top: rows of a long list, and items that are named.
        wide: with columns and groups that a terminal has no room for.
    """

    metric: str = ""
    top: int = 10
    wide: bool = False


def sheets_of(found: Comparison, extent: Extent) -> list[Sheet]:
    """All tables that have something to say, the most important one first."""
    metric = main_metric(found, extent)
    made = [
        _scores(found),
        _tests(found),
        _directions(found, metric, extent),
        _groups(found, metric, extent),
        _changes(found, extent),
        _pace(found),
        _signatures(found),
    ]
    return [sheet for sheet in made if sheet.rows or sheet.notes]


def main_metric(found: Comparison, extent: Extent) -> str:
    """The one that groups and directions are shown of; "" = there is none."""
    return extent.metric or next(iter(found.metrics), "")


def _scores(found: Comparison) -> Sheet:
    columns = {
        "metric": Kind.TEXT,
        "items": Kind.COUNT,
        **_sides(found, Kind.SCORE),
        "difference": Kind.CHANGE,
        "better": Kind.COUNT,
        "worse": Kind.COUNT,
        "equal": Kind.COUNT,
        "p (sign test)": Kind.P,
    }
    rows = [
        (
            r.metric,
            r.common,
            r.mean_a,
            r.mean_b,
            r.difference,
            r.better,
            r.worse,
            r.equal,
            r.p_value,
        )
        for r in found.rows
    ]
    return Sheet("Average scores", columns, rows, list(_left_out(found)))


def _sides(found: Comparison, kind: Kind) -> dict[str, Kind]:
    """The columns of the two batches; a batch compared with itself has two as well."""
    a, b = found.a.batch, found.b.batch
    return {a: kind, b if b != a else f"{b} (B)": kind}


def _left_out(found: Comparison) -> Iterator[str]:
    for side in (found.a, found.b):
        if side.limited:
            yield f"! {side.batch} is {side.limited}"
    if found.a.limited != found.b.limited:
        yield "! not the same was left out of both: a difference may come of that alone"
    told = {entry.metric for entry in found.legend}
    for entry in found.legend:
        if entry.unlike:
            yield (
                f"! {entry.metric}: {_items(entry.unlike)} scored with different settings,"
                " left out of its numbers: see the signatures"
            )
    if found.other_references:
        what = f"{_items(found.other_references)} scored against different references"
        yield f"! {what}: a difference may come of that alone"
    for side, items in ((found.a, found.only_a), (found.b, found.only_b)):
        if items:
            yield f"{_items(items)} only in {side.batch}, left out of every number"
    for side in (found.a, found.b):
        if side.unusable:
            say = f"coordinator report {side.batch} names them"
            yield f"! not all in the logs of {side.batch} could be used: {say}"
    if found.unknown:
        yield f"! nothing could be tested: {found.unknown}"
    if untold := [r.metric for r in found.rows if r.common and r.metric not in told]:
        yield f"! signatures are not known here, so settings may differ: {', '.join(untold)}"


def _tests(found: Comparison) -> Sheet:
    """How often each metric's difference is more than chance; what could not be tested, and why."""
    names = ("better", "worse", "unclear")
    columns = {"metric": Kind.TEXT, "items": Kind.COUNT, **dict.fromkeys(names, Kind.COUNT)}
    if found.tests is None:
        return Sheet("", columns, ())
    rows = []
    for metric, tests in groupby(found.tests.tests, lambda test: test.metric):
        verdicts = Counter(test.verdict for test in tests)
        rows.append((metric, verdicts.total(), *(verdicts[name] for name in names)))
    title = f"Paired {found.tests.test}, p < {LEVEL:g} after correction for the number of items"
    return Sheet(title, columns, rows, [*_too_coarse(found.tests), *_untested(found.tests)])


def _too_coarse(tests: PairedTests) -> Iterator[str]:
    """With few samples and many items the least p-value is not small enough for a single item."""
    if tests.fewest > 1:
        yield (
            f"! with {tests.samples:,} samples p is {1 / (tests.samples + 1):.2g} or more: among so"
            f" many items that is more than chance only where {tests.fewest:,} or more have it;"
            f" --resamples {math.ceil(tests.most_items / LEVEL)} tells a single one"
        )


def _untested(tests: PairedTests, shown: int = 3) -> Iterator[str]:
    """Items by the reason; the reason's details vary, so the first of each stands for them."""
    for each in tests.untested[:shown]:
        yield f"! not tested: {each.item}: {each.reason}"
    if (more := len(tests.untested) - shown) > 0:
        yield f"! and {more:,} more not tested; the JSON names them all"


def _directions(found: Comparison, metric: str, extent: Extent) -> Sheet:
    """The largest differences that are more than chance; gains first, then losses."""
    ends = ("source", "target") if extent.wide else ()
    columns = {
        "item": Kind.TEXT,
        **dict.fromkeys(ends, Kind.TEXT),
        "A": Kind.SCORE,
        "B": Kind.SCORE,
        "difference": Kind.CHANGE,
        "p": Kind.P,
        "corrected p": Kind.P,
        "effect size": Kind.CHANGE,
        "B is": Kind.TEXT,
    }
    tests = [t for t in (found.tests.tests if found.tests else ()) if t.metric == metric]
    rows, notes = [], []
    for verdict in ("better", "worse"):
        own = sorted((t for t in tests if t.verdict == verdict), key=_by_size)
        rows += [_direction(found, test, extent) for test in own[: extent.top]]
        if (more := len(own) - extent.top) > 0:
            notes.append(f"and {more:,} more items on which B is {verdict}; the JSON has them all")
    sides = f"A is {found.a.batch}, B is {found.b.batch}"
    title = f"{metric}: items that changed by more than chance ({sides})"
    return Sheet(title, columns, rows, notes)


def _by_size(test: Difference) -> tuple[float, str]:
    return -abs(test.b - test.a), test.item


def _direction(found: Comparison, t: Difference, extent: Extent) -> Sequence[Cell]:
    ends = found.directions.get(t.item, ("", "")) if extent.wide else ()
    return (t.item, *ends, t.a, t.b, t.b - t.a, t.p_value, t.adjusted, t.effect, t.verdict)


def _groups(found: Comparison, metric: str, extent: Extent) -> Sheet:
    columns = {
        "way": Kind.TEXT,
        "group": Kind.TEXT,
        "by": Kind.TEXT,
        "items": Kind.COUNT,
        **_sides(found, Kind.SCORE),
        "difference": Kind.CHANGE,
    }
    if found.tests:
        columns |= {"better": Kind.COUNT, "worse": Kind.COUNT}
    own = [g for g in found.groups if g.metric == metric and (extent.wide or _is_level(g))]
    rows = [_group(group, tested=found.tests is not None) for group in own]
    better = ", less is better" if lower_is_better(metric) else ""
    return Sheet(f"{metric}{better}: by groups of languages", columns, rows)


def _is_level(group: GroupDifference) -> bool:
    return group.by == "resource"


def _group(group: GroupDifference, *, tested: bool) -> Sequence[Cell]:
    row = (group.way, group.group, group.by, group.items, group.a, group.b, group.difference)
    return (*row, group.better, group.worse) if tested else row


def _changes(found: Comparison, extent: Extent) -> Sheet:
    sides = (f"in {side.batch}" for side in (found.a, found.b))
    columns = {**dict.fromkeys(sides, Kind.TEXT), "items": Kind.COUNT, "such as": Kind.TEXT}
    rows = [_change(change, extent.top) for change in found.changes]
    return Sheet("Items that stand elsewhere", columns, rows)


def _change(change: Change, top: int) -> Sequence[Cell]:
    named = ", ".join(change.items[:top])
    more = f" and {len(change.items) - top:,} more" if len(change.items) > top else ""
    return str(change.before), str(change.after), len(change.items), f"{named}{more}"


def _items(items: Sequence[str]) -> str:
    return f"{len(items):,} item" if len(items) == 1 else f"{len(items):,} items"


_OF_BATCH: dict[str, Callable[[Pace], float | None]] = {
    "items that succeeded": lambda pace: pace.items,
    "wall time (s)": lambda pace: pace.wall or None,
    "items/s": lambda pace: pace.items_per_second,
    "tokens": lambda pace: pace.tokens or None,
    "tokens/s": lambda pace: pace.tokens_per_second,
    "slot-seconds": lambda pace: pace.slot or None,
    "GPU-seconds": lambda pace: pace.gpu or None,
    "of slot time, loading (%)": lambda pace: _percent(pace.load_share),
}


def _pace(found: Comparison) -> Sheet:
    columns = {"speed and cost": Kind.TEXT, **_sides(found, Kind.NUMBER), "B / A": Kind.NUMBER}
    rows = [
        (name, a, b, b / a if a and b is not None else None)
        for name, of in _OF_BATCH.items()
        for a, b in [(of(found.a.pace), of(found.b.pace))]
        if a is not None or b is not None
    ]
    return Sheet("Speed and cost", columns, [*rows, *_steps(found)])


def _steps(found: Comparison) -> Iterator[Sequence[Cell]]:
    """Tokens a second of one slot while it works: how fast a model is, however many there were."""
    speeds = [
        {step.step: step.tokens_per_slot_second for step in side.pace.steps}
        for side in (found.a, found.b)
    ]
    for step in dict.fromkeys((*speeds[0], *speeds[1])):
        a, b = (side.get(step) for side in speeds)
        if a or b:
            yield f"{step}: tokens/s of a slot", a, b, b / a if a and b else None


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _signatures(found: Comparison) -> Sheet:
    columns = {"metric": Kind.TEXT, "of": Kind.TEXT, "signature": Kind.TEXT}
    rows: list[Sequence[Cell]] = []
    for entry in found.legend:
        both = [(found.a.batch, entry.a), (found.b.batch, entry.b)]
        same = [("both", entry.a)] if entry.a == entry.b else both
        rows += [(entry.metric, side, name) for side, names in same for name in names]
    return Sheet("Signatures", columns, rows)
