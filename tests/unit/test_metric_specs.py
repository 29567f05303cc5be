"""What a pipeline file may say of metrics, and what is said back when it cannot be meant."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coordinator.errors import BadInput
from coordinator.metrics import MetricSpec, lower_is_better, parse_metrics


def problems_of(entries: object) -> list[str]:
    with pytest.raises(BadInput) as caught:
        parse_metrics(entries, where="p.yml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("bleu", "bleu"),
        ("chrf++", "chrf++"),
        ({"name": "bleu", "tokenize": "13a"}, "bleu"),
        ({"name": "bleu", "tokenize": "intl"}, "bleu-intl"),
        ({"name": "bleu", "tokenize": "intl", "lowercase": True}, "bleu-intl-lc"),
        ({"name": "bleu", "lowercase": False}, "bleu"),
        ({"name": "spbleu", "model": "a.model"}, "spbleu"),
        ({"name": "spbleu", "model": "a.model", "label": "bpe"}, "spbleu-bpe"),
        ({"name": "chrf", "whitespace": True, "lowercase": True}, "chrf-lc-space"),
        ({"name": "ter", "asian_support": True, "normalized": True}, "ter-asian-norm"),
    ],
)
def test_the_name_tells_the_settings_and_the_entry_comes_back(
    entry: str | dict[str, Any], name: str
) -> None:
    (spec,) = parse_metrics([entry])
    assert spec.name == name
    assert parse_metrics([spec.to_option()]) == (spec,)


def test_a_relative_model_starts_at_the_base() -> None:
    entries = [{"name": "spbleu", "model": "spm/x.model"}]
    assert parse_metrics(entries, base=Path("/data"))[0].model == Path("/data/spm/x.model")
    assert parse_metrics(entries)[0].model == Path("spm/x.model")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("belu", "p.yml[0]: unknown metric 'belu' (did you mean bleu, spbleu?)"),
        ("chrF++", "did you mean chrf++"),
        ("comet", "(known: bleu, spbleu, chrf, chrf++, ter, accuracy, f1)"),
        ({"name": "bleu", "tokenise": "intl"}, "'tokenise' (did you mean tokenize?)"),
        ({"name": "chrf", "tokenize": "intl"}, "chrf knows: name, label, lowercase, whitespace"),
        ({"name": "bleu", "tokenize": "13b"}, "unknown tokenizer '13b' (did you mean 13a?)"),
        ({"name": "bleu", "tokenize": "flores200"}, "[tokenize]: tokenizer 'flores200' would be"),
        ({"name": "bleu", "tokenize": "spBLEU-1K"}, "write {name: spbleu, model: PATH}"),
        ({"name": "bleu", "lowercase": "yes"}, "write true or false"),
        ({"name": "bleu", "lowercase": 1}, "write true or false"),
        ({"name": "spbleu"}, "spbleu needs `model`"),
        ({"name": "spbleu", "model": 3}, "spbleu needs `model`"),
        ({"name": "ter", "label": "=1+1"}, "label '=1+1'"),
        ({"name": "ter", "label": ""}, "label ''"),
        ({"name": ["bleu"]}, "unknown metric"),
        ({"tokenize": "intl"}, "no `name`"),
        ({}, "an empty mapping"),
        (7, "neither a metric's name nor a mapping"),
    ],
)
def test_what_cannot_be_meant_is_said(entry: object, said: str) -> None:
    (problem,) = problems_of([entry])
    assert said in problem


def test_all_problems_at_once() -> None:
    entries = ["blue", "chrf", {"name": "bleu", "lowercas": True, "tokenize": "intel"}]
    found = problems_of(entries)
    assert [problem[:8] for problem in found] == ["p.yml[0]", "p.yml[2]", "p.yml[2]"]


@pytest.mark.parametrize("entries", [[], None, "bleu", {"bleu": {}}])
def test_no_list_of_metrics(entries: object) -> None:
    assert "not a list of at least one metric" in problems_of(entries)[0]


def test_two_metrics_of_one_name() -> None:
    twice = [{"name": "spbleu", "model": "a"}, {"name": "spbleu", "model": "b"}]
    assert "2 metrics are called 'spbleu'" in problems_of(twice)[0]
    told_apart = [twice[0], twice[1] | {"label": "b"}]
    assert [spec.name for spec in parse_metrics(told_apart)] == ["spbleu", "spbleu-b"]


def test_which_direction_is_better() -> None:
    assert lower_is_better(MetricSpec("ter", ("no_punct",)).name)
    assert not any(map(lower_is_better, ["bleu", "chrf++", "spbleu-ter"]))


def test_import_is_cheap() -> None:
    """Verbs that score nothing should not wait for sacrebleu."""
    code = "import sys, coordinator.metrics; print([m for m in sys.modules if m in %r])"
    heavy = ["sacrebleu", "sentencepiece", "numpy", "pandas"]
    done = subprocess.run(
        [sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_name_of_the_package_is_there() -> None:
    from coordinator import metrics

    assert all(getattr(metrics, name) is not None for name in metrics.__all__)
    with pytest.raises(AttributeError, match="no attribute 'sacrebleu'"):
        metrics.sacrebleu  # noqa: B018
