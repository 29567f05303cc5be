"""Rows as JUnit XML, as Jenkins, GitLab and others read it: a test case an item."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import PurePath
from xml.etree.ElementTree import Element, SubElement, tostring
from xml.sax.saxutils import quoteattr

from coordinator.domain.plain import plain
from coordinator.domain.shown import for_terminal
from coordinator.reports.history import Standing
from coordinator.reports.items import Items
from coordinator.reports.rows import Row

_GOOD = {Standing.SUCCEEDED, Standing.EARLY_EXIT}


def junit(items: Items, made: Callable[[], Iterable[Row]]) -> Iterator[str]:
    """The document; `made` gives the rows, and is called twice: counts stand before the cases."""
    counts, seconds, began = _summed(made())
    attributes = {
        "tests": str(counts.total()),
        "failures": str(counts["failure"]),
        "errors": "0",
        "skipped": str(counts["skipped"]),
        "time": _time(seconds),
    }
    name = _xml(items.batch)
    suite = {"name": name, **attributes, **({"timestamp": began} if began else {})}
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f"{_tag('testsuites', {'name': name, **_without_skipped(attributes)})}\n"
    yield f"{_tag('testsuite', suite)}\n"
    if items.limited:
        yield f"{_properties(items.limited)}\n"
    for row in made():
        yield f"{_case(row, items)}\n"
    yield "</testsuite>\n</testsuites>\n"


def _summed(rows: Iterable[Row]) -> tuple[Counter[str], float, str]:
    """How many of which result, the seconds of work, and when it began."""
    counts: Counter[str] = Counter()
    seconds, began = 0.0, []
    for row in rows:
        counts[_result(row)] += 1
        seconds += plain(row["work_s"]) or 0.0
        if (at := plain(row["started_at"])) is not None:
            began.append(at)
    return counts, seconds, _timestamp(min(began)) if began else ""


def _result(row: Row) -> str:
    if row["state"] in _GOOD:
        return "passed"
    return "failure" if row["state"] == Standing.FAILED else "skipped"


def _case(row: Row, items: Items) -> str:
    step = row["step"] or next(iter(items.steps), "")
    case = Element(
        "testcase",
        classname=_xml(f"{items.batch}.{step}"),
        name=_xml(row["item"]),
        time=_time(plain(row["work_s"]) or 0.0),
    )
    result, reason = _result(row), _xml(row["reason"] or "")
    if result == "failure":
        failure = SubElement(case, "failure", type=_xml(row["kind"] or ""), message=reason)
        failure.text = f"{_xml(row['kind'] or '')}: {reason}"
    elif result == "skipped":
        state = row["state"].replace("_", " ")
        SubElement(case, "skipped", message=f"{state}: {reason}" if reason else state)
    if place := _place(row):
        SubElement(case, "system-out").text = _xml(place)
    return tostring(case, encoding="unicode")


def _place(row: Row) -> str:
    """Where the log is, relative to the log folder: the line, or the folder of the last try."""
    if row["file"]:
        return row["file"] if row["line"] is None else f"{row['file']}:{row['line']}"
    tries = row["tries"]
    return str(PurePath(tries[-1]["folder"])) if tries else ""


def _properties(limited: str) -> str:
    properties = Element("properties")
    SubElement(properties, "property", name="limited", value=_xml(limited))
    return tostring(properties, encoding="unicode")


def _without_skipped(attributes: dict[str, str]) -> dict[str, str]:
    """The outermost element has no such count."""
    return {name: value for name, value in attributes.items() if name != "skipped"}


def _tag(name: str, attributes: dict[str, str]) -> str:
    shown = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{name}{shown}>"


def _xml(text: str) -> str:
    """Text without characters that XML cannot carry, escaped or not; they are written out."""
    return for_terminal(text)


def _time(seconds: float) -> str:
    return f"{min(max(seconds, 0.0), 1e12):.3f}"


def _timestamp(seconds: float) -> str:
    """UTC without a zone, as the format has it; "" for a time that cannot be."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return ""
