"""A picture of one metric's differences, source languages down and target languages across."""

from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean

from coordinator.domain.shown import for_terminal
from coordinator.metrics import lower_is_better
from coordinator.reports.comparison.result import Comparison

_MOST_CELLS = 12_000
_SIZE = 720  # pixels; the cells share them

Cells = dict[tuple[str, str], float]


def heat_map(found: Comparison, metric: str) -> bytes | None:
    """The picture as SVG; None where there is nothing to show, too much, or nothing to draw with.

    Blue is better and orange is worse, also where less is better.
    """
    cells = _cells(found, metric)
    if not 1 < len(cells) <= _MOST_CELLS:
        return None
    try:
        import altair
        import vl_convert
    except ImportError:
        return None
    largest = max(map(abs, cells.values())) or 1.0
    sources, targets = ({pair[end] for pair in cells} for end in (0, 1))
    step = max(6, min(28, _SIZE // max(len(sources), len(targets))))
    axis = altair.Axis(labelFontSize=min(11, step), labelOverlap=False)
    chart = (
        altair.Chart({"values": _values(cells)})
        .mark_rect()
        .encode(
            x=altair.X("target:N", title="target", axis=axis),
            y=altair.Y("source:N", title="source", axis=axis),
            color=altair.Color(
                "difference:Q",
                title="B - A",
                scale=altair.Scale(
                    scheme="blueorange",
                    domain=[-largest, largest],
                    domainMid=0,
                    reverse=not lower_is_better(metric),
                ),
            ),
        )
        .properties(width=altair.Step(step), height=altair.Step(step), background="white")
    )
    svg: str = vl_convert.vegalite_to_svg(chart.to_dict())
    return svg.encode()


def _cells(found: Comparison, metric: str) -> Cells:
    """Direction -> the mean difference of its items."""
    together: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for item, difference in _differences(found, metric).items():
        if item in found.directions:
            source, target = map(for_terminal, found.directions[item])
            together[source, target].append(difference)
    return {pair: fmean(values) for pair, values in together.items()}


def _differences(found: Comparison, metric: str) -> Mapping[str, float]:
    pairs = {
        item: (own.get(metric), found.b.scores.get(item, {}).get(metric))
        for item, own in found.a.scores.items()
    }
    return {item: b - a for item, (a, b) in pairs.items() if a is not None and b is not None}


def _values(cells: Cells) -> list[dict[str, str | float]]:
    return [{"source": s, "target": t, "difference": d} for (s, t), d in sorted(cells.items())]
