"""Is one system better than another, or is it chance? From the statistics of their segments.

The tests are sacrebleu's `--paired-bs` and `--paired-ar`: the same draws from the same seed, and
the same scores, means, intervals and p-values to the last bit (sacrebleu 2.6, significance.py).
Between them and here are only exact shortcuts: sums over draws are products of matrices, and the
final formula goes over all of them at once. A metric whose score comes from no sum is scored anew
for each resample.

Sources: Koehn 2004 (paired bootstrap), Riezler and Maxwell 2005 (approximate randomization).
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coordinator.errors import BadInput
from coordinator.metrics.metric import Metric, Statistics, SummedMetric
from coordinator.metrics.resampling import (
    Drawn,
    coins,
    drawn,
    draws,
    sums_of_coins,
    sums_of_draws,
)

Method = Literal["bootstrap", "randomization"]
Scores = NDArray[Any]  # one of each resample, in the type that sacrebleu has them in

SEED = 12345
RESAMPLES = 1_000
TRIALS = 10_000
_NOISE = 1e-9  # of scores up to 100, what rounding may leave
_SEED_VARIABLE = "SACREBLEU_SEED"


@dataclass(frozen=True)
class Estimate:
    """The score of one system.

    Attributes:
        score: of the whole text.
        mean: over the resamples; None where none were drawn.
        interval: half the width of the interval that 95% of them are in.
    """

    score: float
    mean: float | None = None
    interval: float | None = None


@dataclass(frozen=True)
class PairedResult:
    """What a test says of two systems.

    Attributes:
        p_value: how often a difference at least as large comes about between equals.
        samples: resamples or trials.
        seed: of the generator; None = another one each time.
    """

    test: Method
    baseline: Estimate
    system: Estimate
    p_value: float
    samples: int
    seed: int | None


def paired_bootstrap(
    metric: Metric,
    baseline: Statistics,
    system: Statistics,
    *,
    resamples: int = RESAMPLES,
    seed: int | None = SEED,
) -> PairedResult:
    """The paired bootstrap of two systems over the same segments.

    Args:
        metric: whose statistics these are.
        baseline: (segments, counts).
        system: the same of the other one.
        resamples: how often as many segments are drawn with replacement.
        seed: of the generator; None = another one each time. (sacrebleu takes 0 for None, but
            for the baseline's own mean; here 0 is a seed.)

    Raises:
        BadInput: not equally many segments, or none.
    """
    _check(baseline, system)
    ours, theirs = _bootstrap(metric, [system, baseline], drawn(seed, len(system), resamples))
    score_b, score_s = metric.score(baseline), metric.score(system)
    differences = np.abs(ours - theirs)
    p_value = _p_value(differences - differences.mean(), abs(score_b - score_s))
    return PairedResult(
        "bootstrap",
        _estimate(score_b, theirs),
        _estimate(score_s, ours),
        p_value,
        resamples,
        seed,
    )


def paired_randomization(
    metric: Metric,
    baseline: Statistics,
    system: Statistics,
    *,
    trials: int = TRIALS,
    resamples: int = 0,
    seed: int | None = SEED,
) -> PairedResult:
    """The paired approximate randomization of two systems over the same segments.

    Args:
        metric: whose statistics these are.
        baseline: (segments, counts).
        system: the same of the other one.
        trials: how often each segment's two rows are exchanged or not by the toss of a coin.
        resamples: draws for means and intervals (sacrebleu's `--paired-ar-confidence-n`).
        seed: see `paired_bootstrap`.

    Raises:
        BadInput: not equally many segments, or none.
    """
    _check(baseline, system)
    rng = np.random.default_rng(seed)
    differences = _shuffled_differences(metric, baseline, system, trials, rng)
    score_b, score_s = metric.score(baseline), metric.score(system)
    estimates = Estimate(score_b), Estimate(score_s)
    if resamples:
        going_on = map(Drawn, draws(rng, len(system), resamples))
        (ours,) = _bootstrap(metric, [system], going_on)
        (theirs,) = _bootstrap(metric, [baseline], drawn(seed, len(baseline), resamples))
        estimates = _estimate(score_b, theirs), _estimate(score_s, ours)
    p_value = _p_value(differences, abs(score_b - score_s))
    return PairedResult("randomization", *estimates, p_value, trials, seed)


def paired_test(
    test: Method,
    metric: Metric,
    baseline: Statistics,
    system: Statistics,
    *,
    samples: int | None = None,
    seed: int | None = SEED,
) -> PairedResult:
    """Either test, by name; `samples`: resamples or trials (`usual_samples` if None)."""
    count = usual_samples(test) if samples is None else samples
    if test == "bootstrap":
        return paired_bootstrap(metric, baseline, system, resamples=count, seed=seed)
    return paired_randomization(metric, baseline, system, trials=count, seed=seed)


def usual_samples(test: Method) -> int:
    """How many resamples or trials sacrebleu draws."""
    return RESAMPLES if test == "bootstrap" else TRIALS


def sacrebleu_seed(environ: Mapping[str, str] = os.environ) -> int | None:
    """The seed that sacrebleu would take: $SACREBLEU_SEED, or 12345; None if that says `none`.

    Raises:
        BadInput: the variable is no seed.
    """
    text = environ.get(_SEED_VARIABLE, str(SEED))
    if text.lower() == "none":
        return None
    if not text.isascii() or not text.isdigit():
        raise BadInput(f"{_SEED_VARIABLE} is {text!r}", hint="a whole number, or none")
    return int(text)


def effect_size(metric: Metric, baseline: Statistics, system: Statistics) -> float | None:
    """How large the difference is against how much it varies from sentence to sentence.

    Cohen's d for paired samples, d_z: the mean of the sentences' differences over their standard
    deviation (with n - 1). Some 0.2 is small, 0.5 medium, 0.8 large. Above 0 where the system's
    scores are higher. None where nothing varies, or there is one sentence only.

    Source: Cohen 1988, section 2.3 (d for paired observations); Lakens 2013 (d_z).
    """
    _check(baseline, system)
    apart = metric.sentence_scores(system) - metric.sentence_scores(baseline)
    spread = float(apart.std(ddof=1)) if len(apart) > 1 else 0.0
    return float(apart.mean()) / spread if spread > _NOISE else None  # nor where it is no number


def false_discoveries(p_values: Iterable[float]) -> list[float]:
    """p-values of many tests, each raised so far that those below q have at most a share of q of
    false ones among them.

    Source: Benjamini and Hochberg 1995. Holds for tests that are independent, or lean the same
    way, as directions of one corpus mostly do.
    """
    values = np.array(list(p_values), dtype=np.float64)
    order = np.argsort(values)[::-1]  # the largest first
    raised = values[order] * (len(values) / np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.minimum.accumulate(raised), 1)
    return [float(value) for value in adjusted]


def _check(baseline: Statistics, system: Statistics) -> None:
    if len(baseline) != len(system):
        raise BadInput(
            f"{len(baseline)} sentences of one system, but {len(system)} of the other",
            why="a paired test compares them sentence by sentence",
        )
    if not len(baseline):
        raise BadInput("there are no sentences", why="a test needs at least one")


def _bootstrap(
    metric: Metric, systems: list[Statistics], resamples: Iterable[Drawn]
) -> list[Scores]:
    """The scores of each resample, for each of the systems."""
    found: list[list[Scores]] = [[] for _ in systems]
    for some in resamples:
        for statistics, scores in zip(systems, found, strict=True):
            scores.append(_scores_of_draws(metric, statistics, some))
    return [np.concatenate(scores) for scores in found]


def _scores_of_draws(metric: Metric, statistics: Statistics, some: Drawn) -> Scores:
    if isinstance(metric, SummedMetric):
        return metric.scores_of_sums(sums_of_draws(statistics, some))
    return np.array([metric.score(statistics[resample]) for resample in some.places])


def _shuffled_differences(
    metric: Metric,
    baseline: Statistics,
    system: Statistics,
    trials: int,
    rng: np.random.Generator,
) -> Scores:
    """How far apart two systems are that were made by exchanging segments at random."""
    apart = _summed_apart if isinstance(metric, SummedMetric) else _apart
    tossed = coins(rng, len(baseline), trials)
    return np.concatenate([apart(metric, baseline, system, chosen) for chosen in tossed])


def _summed_apart(
    metric: Any, baseline: Statistics, system: Statistics, chosen: NDArray[np.bool_]
) -> Scores:
    first = sums_of_coins(baseline, system, chosen)
    second = sums_of_coins(system, baseline, chosen)
    return np.asarray(np.abs(metric.scores_of_sums(first) - metric.scores_of_sums(second)))


def _apart(
    metric: Metric, baseline: Statistics, system: Statistics, chosen: NDArray[np.bool_]
) -> Scores:
    def score(trial: NDArray[np.bool_]) -> float:
        return metric.score(np.where(trial[:, None], baseline, system))

    return np.array([abs(score(trial) - score(~trial)) for trial in chosen])


def _p_value(differences: Scores, real: float) -> float:
    """sacrebleu's: larger differences only, and one more than were seen."""
    return float((np.sum(differences > real).item() + 1) / (len(differences) + 1))


def _estimate(score: float, resampled: Scores) -> Estimate:
    """The mean, and the interval without 1/40 of the scores at either end."""
    ordered = np.sort(resampled)
    left_out = len(ordered) // 40
    lower, upper = ordered[left_out], ordered[len(ordered) - left_out - 1]
    return Estimate(score, float(ordered.mean()), float(0.5 * (upper - lower)))
