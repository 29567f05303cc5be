"""The charts as Vega-Lite, which Altair checks in the tests: built by it for each page, they would
take twice the memory that reading the logs does. Colours are variables of the style sheet.

Charts are SVG, so that they follow the page from light to dark; only the heat map, which may have
ten thousand cells, is drawn on a canvas.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any

from coordinator.reports.html.inputs import Moment
from coordinator.reports.html.lanes import Lane
from coordinator.reports.html.progress import Progress
from coordinator.reports.html.scores import Metric

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
WIDTH, HEIGHT = 720, 240  # until it is drawn: then it is as wide as the page
GOOD, BAD, IDLE, WARN = "var(--good)", "var(--bad)", "var(--idle)", "var(--warn)"
_TEXT, _LINE = "var(--text)", "var(--line)"
_CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": _TEXT,
        "titleColor": _TEXT,
        "gridColor": _LINE,
        "domainColor": _LINE,
        "tickColor": _LINE,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelOverlap": True,
        "labelSeparation": 8,
    },
    "legend": {"labelColor": _TEXT, "titleColor": _TEXT, "labelFontSize": 12, "orient": "bottom"},
}
_MAIN = "main"  # the data set that the table beside the chart shows
_PAUSES = {"paused": "resumed", "credentials_paused": "credentials_renewed"}


def in_flight(
    progress: Progress, thresholds: Sequence[tuple[str, int]], moments: Sequence[Moment]
) -> Spec:
    """Items in flight, with both thresholds as lines and pauses as bands."""
    points = [{"time": _ms(at), "items": items} for at, items in progress.in_flight]
    bands = list(_pauses(moments, progress))
    lines = [{"line": name, "items": value} for name, value in thresholds]
    layers = [
        *([_BANDS] if bands else []),
        _layer(
            _MAIN,
            {"type": "area", "interpolate": "step-after", "color": GOOD, "opacity": 0.55},
            x=_time("time"),
            y={**_items("items"), "stack": None},
            tooltip=_tips("time", "items"),
        ),
        *(_THRESHOLDS if lines else []),
    ]
    return _finished({"layer": layers}, points, pauses=bands, thresholds=lines)


def throughput(progress: Progress) -> Spec:
    """Items that ended in each slice of time, a minute."""
    bars = [
        {"from": _ms(a), "to": _ms(b), "items": round(items * 60 / max(b - a, 1e-3), 3)}
        for a, b, items, _ in progress.finished
    ]
    chart = _layer(
        _MAIN,
        {"type": "rect", "color": GOOD},
        x=_time("from"),
        x2={"field": "to"},
        y=_number("items", "items a minute"),
        y2={"datum": 0},
        tooltip=_tips("from", "items"),
    )
    return _finished(chart, bars)


def tokens(progress: Progress) -> Spec:
    """Tokens of the items that ended in each slice of time, a second."""
    points = [
        {"time": _ms((a + b) / 2), "tokens": round(count / max(b - a, 1e-3), 2)}
        for a, b, _, count in progress.finished
    ]
    chart = _layer(
        _MAIN,
        {"type": "line", "color": GOOD, "interpolate": "step"},
        x=_time("time"),
        y=_number("tokens", "tokens a second"),
        tooltip=_tips("time", "tokens"),
    )
    return _finished(chart, points)


def estimates(progress: Progress) -> Spec:
    """When the batch would have ended, as it looked at each time."""
    points = [{"time": _ms(at), "end": _ms(end)} for at, end in progress.estimates]
    chart = _layer(
        _MAIN,
        {"type": "line", "color": GOOD, "point": {"color": GOOD, "size": 20}},
        x=_time("time"),
        y={**_time("end"), "title": "estimated end (UTC)"},
        tooltip=_tips("time", "end"),
    )
    return _finished(chart, points)


def lanes(found: Sequence[Lane]) -> Spec:
    """What each place did: load, work, idle."""
    rows = [
        {"lane": lane.name, "what": what, "from": _ms(a), "to": _ms(b)}
        for lane in found
        for what, a, b in lane.segments
    ]
    colours = {"domain": ["work", "load", "idle"], "range": [GOOD, BAD, IDLE]}
    chart = _layer(
        _MAIN,
        {"type": "bar", "height": {"band": 0.75}},
        x=_time("from"),
        x2={"field": "to"},
        y={**_name("lane"), "title": None, "sort": None, "axis": {"labelLimit": 110}},
        color={**_name("what"), "title": None, "scale": colours},
        tooltip=[_name("lane"), _name("what"), *_tips("from", "to")],
    )
    return _finished(chart, rows, max(60, 22 * len(found)))


def distribution(metric: Metric) -> Spec:
    """How many items have which score."""
    bars = [{"from": a, "to": b, "items": count} for a, b, count in metric.bins]
    ends = {**_number("from", "score"), "bin": "binned", "scale": {"zero": False}}
    chart = _layer(
        _MAIN,
        {"type": "bar", "color": GOOD, "binSpacing": 1},
        x=ends,
        x2={"field": "to"},
        y=_items("items"),
        tooltip=[{"field": name, "type": "quantitative"} for name in ("from", "to", "items")],
    )
    return _finished(chart, bars)


def heat(sources: int) -> Spec:
    """Source by target; its cells come from the table of items, as the data set `cells`.

    A cell without a score has a stroke through it, one in which something failed a cross.
    """
    size = max(6, 12_000 // max(sources, 1) ** 2)
    marks = {"missing": ("M-1,1L1,-1", _GREY), "failed": ("M-1,-1L1,1M-1,1L1,-1", _ORANGE)}
    scale = {"scheme": "cividis", "zero": False}
    layers = [
        _cells(
            "isValid(datum.value)",
            {"type": "rect"},
            color={**_number("value", "score"), "scale": scale},
        ),
        *(
            _cells(
                f"datum.mark === '{name}'",
                {"type": "point", "shape": shape, "color": colour, "size": size, "opacity": 1},
            )
            for name, (shape, colour) in marks.items()
        ),
    ]
    chart = {"layer": layers, "params": [{"name": "ink", "value": _GREY}]}
    spec = _finished(chart, [], max(180, min(16 * sources, 900)))
    ink = {"expr": "ink"}
    quiet = {"grid": False, "ticks": False, "domainColor": _GREY}
    spec["config"]["axis"] |= {"labelColor": ink, "titleColor": ink, **quiet}
    spec["config"]["legend"] |= {"labelColor": ink, "titleColor": ink}
    return spec


_GREY, _ORANGE = "#8a8a8a", "#e8590c"  # a canvas knows no variables; both are seen on any ground


def _finished(chart: Spec, rows: list[Spec], height: int = HEIGHT, **others: list[Spec]) -> Spec:
    frame = {"$schema": SCHEMA, "width": WIDTH, "height": height, "config": deepcopy(_CONFIG)}
    return {**frame, **chart, "datasets": {_MAIN: rows, **others}}


def _layer(data: str, mark: Spec, **encoding: Any) -> Spec:
    """A chart of one mark."""
    return {"data": {"name": data}, "mark": mark, "encoding": encoding}


def _cells(test: str, mark: Spec, **more: Spec) -> Spec:
    """The cells of the heat map for which the test holds."""
    encoding = {
        "x": {**_name("target"), "title": "target", "axis": {"orient": "top", "labelAngle": -90}},
        "y": {**_name("source"), "title": "source"},
        "tooltip": [_name(name) for name in ("source", "target", "score", "state")],
    }
    return {**_layer("cells", mark, **encoding, **more), "transform": [{"filter": test}]}


def _pauses(moments: Sequence[Moment], progress: Progress) -> Iterable[Spec]:
    """Each pause from its beginning to its end, or to the end of what is shown."""
    open_since: dict[str, float] = {}
    for moment in moments:
        if moment.action in _PAUSES:
            open_since.setdefault(_PAUSES[moment.action], moment.at)
        elif (since := open_since.pop(moment.action, None)) is not None:
            yield {"from": _ms(since), "to": _ms(moment.at)}
    for since in open_since.values():
        yield {"from": _ms(since), "to": _ms(max(progress.until, since))}


_CLOCK = {  # 24 hours a day; the date where a new one begins, seconds where there are any
    "labelExpr": "utcFormat(datum.value, utcseconds(datum.value) ? '%H:%M:%S' : "
    "utchours(datum.value) + utcminutes(datum.value) ? '%H:%M' : '%b %d')"
}


def _time(name: str) -> Spec:
    scale = {"type": "utc"}
    title = "time (UTC)"
    return {"field": name, "type": "temporal", "title": title, "scale": scale, "axis": _CLOCK}


def _items(name: str) -> Spec:
    return {**_number(name, "items"), "axis": {"tickMinStep": 1}}


def _number(name: str, title: str) -> Spec:
    return {"field": name, "type": "quantitative", "title": title}


def _name(name: str) -> Spec:
    return {"field": name, "type": "nominal"}


def _tips(*names: str) -> list[Spec]:
    """Times in UTC, as on the axis."""
    unit = "utcyearmonthdatehoursminutesseconds"
    return [
        {"field": name, "type": "temporal", "timeUnit": unit, "title": name}
        if name in ("time", "from", "to", "end")
        else {"field": name, "type": "quantitative", "format": ","}
        for name in names
    ]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


_BANDS = _layer(
    "pauses",
    {"type": "rect", "color": WARN, "opacity": 0.25},
    x=_time("from"),
    x2={"field": "to"},
    tooltip={"value": "paused"},
)
_THRESHOLDS = (
    _layer(
        "thresholds",
        {"type": "rule", "color": BAD, "strokeDash": [6, 4], "strokeWidth": 1.5},
        y=_items("items"),
    ),
    _layer(
        "thresholds",
        {
            "type": "text",
            "align": "left",
            "baseline": "bottom",
            "dx": 4,
            "dy": -2,
            "color": _TEXT,
            "fontSize": 12,
        },
        y=_items("items"),
        text=_name("line"),
        x={"value": 0},
    ),
)
