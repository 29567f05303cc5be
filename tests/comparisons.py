"""A comparison of two batches in which every text is hostile."""

from coordinator.metrics import read_languages
from coordinator.reports.compare import compare_scores
from coordinator.reports.comparison.changes import Change, State
from coordinator.reports.comparison.facts import BatchFacts
from coordinator.reports.comparison.groups import group_differences
from coordinator.reports.comparison.legend import Legend
from coordinator.reports.comparison.pace import Pace, StepPace
from coordinator.reports.comparison.result import Comparison, PairedTests
from coordinator.reports.significance import Difference, Untested, adjusted

EVIL = "</script><img src=x onerror=alert(1)>|*_`$\\input{x}&%#\x1b[31m\u202e"


def facts_of(batch: str, scores: dict[str, float], metric: str) -> BatchFacts:
    step = StepPace(EVIL, 1, 2, 3, 4, 500, 60.0, 7.0)
    return BatchFacts(
        batch=batch,
        limited=EVIL,
        states={item: State("succeeded") for item in scores},
        scores={item: {metric: score} for item, score in scores.items()},
        signatures={},
        directions={item: (f"{item[-1]}{EVIL}"[:64], EVIL) for item in scores},
        pace=Pace(4, 100.0, (step,)),
        unusable=1,
    )


def hostile() -> Comparison:
    """All that comes from outside, with all that a writer could trip over in it."""
    items = [f"{EVIL}{number}" for number in range(4)]
    a = facts_of(f"a{EVIL}", dict.fromkeys(items, 10.0), EVIL)
    b = facts_of(f"b{EVIL}", {i: 10.0 + n for n, i in enumerate(items)}, EVIL)
    tests = adjusted(Difference(i, EVIL, 10.0, 10.0 + n, 1e-3) for n, i in enumerate(items))
    rows = compare_scores(a.scores, b.scores)
    pairs = {i: (10.0, 10.0 + n) for n, i in enumerate(items)}
    groups = group_differences(EVIL, pairs, a.directions, {}, read_languages())
    return Comparison(
        a=a,
        b=b,
        rows=rows,
        legend=(Legend(EVIL, (EVIL,), ("other",), (items[0],)),),
        tests=PairedTests("bootstrap", 1, 1000, tuple(tests), (Untested(EVIL, EVIL),)),
        groups=tuple(groups),
        changes=(Change(State("succeeded"), State("failed", EVIL), (EVIL,)),),
        unknown=EVIL,
    )
