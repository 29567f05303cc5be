"""Scores of single sentences and of groups of them."""

from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from coordinator.errors import BadInput
from coordinator.metrics import load_metric, parse_metrics
from coordinator.metrics.slices import TagScore, scores_by_tag
from tests.corpora import damaged, sentences

REFS = sentences(6, 30)
HYPS = damaged(REFS, 6)
TAGS = [["news"], ["news", "long"], [], ["wiki"], ["wiki", "wiki"]] * 6


def metric_and_rows(name: str) -> Any:
    metric = load_metric(parse_metrics([name])[0])
    return metric, metric.statistics(HYPS, metric.prepare([REFS]))


@pytest.mark.parametrize(
    ("name", "oracle"), [("bleu", BLEU), ("chrf", CHRF), ("ter", TER)], ids=["bleu", "chrf", "ter"]
)
def test_a_tags_score_is_that_of_a_text_of_its_sentences(name: str, oracle: Any) -> None:
    metric, rows = metric_and_rows(name)
    found = scores_by_tag(metric, rows, TAGS)
    assert list(found) == ["long", "news", "wiki"]
    assert [found[tag].sentences for tag in found] == [6, 12, 12]
    for tag, score in found.items():
        numbers = [n for n, tags in enumerate(TAGS) if tag in tags]
        texts = [HYPS[n] for n in numbers], [[REFS[n] for n in numbers]]
        assert score.score.hex() == float(oracle().corpus_score(*texts).score).hex()


def test_sentence_scores_are_sacrebleus() -> None:
    metric, rows = metric_and_rows("chrf")
    expected = [CHRF().sentence_score(h, [r]).score for h, r in zip(HYPS, REFS, strict=True)]
    assert [score.hex() for score in metric.sentence_scores(rows).tolist()] == [
        float(score).hex() for score in expected
    ]


def test_a_line_of_tags_for_each_sentence() -> None:
    metric, rows = metric_and_rows("chrf")
    with pytest.raises(BadInput, match="29 lines of tags for 30 sentences"):
        scores_by_tag(metric, rows, TAGS[:29])


def test_tags_are_for_groups() -> None:
    metric = load_metric(parse_metrics(["chrf"])[0])
    rows = np.ones((1_001, 18), dtype=np.int64)
    with pytest.raises(BadInput, match="1,001 different tags"):
        scores_by_tag(metric, rows, [[str(n)] for n in range(1_001)])
    assert scores_by_tag(metric, rows, [["a"]] * 1_001) == {"a": TagScore(1_001, 100.0)}
