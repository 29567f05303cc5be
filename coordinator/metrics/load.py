"""From a metric's settings to the metric. Nothing is downloaded."""

import json
from typing import TYPE_CHECKING, Any

from coordinator.errors import BadInput
from coordinator.metrics.labels import accuracy, f1
from coordinator.metrics.metric import Metric
from coordinator.metrics.own import load_own
from coordinator.metrics.spec import LABEL_METRICS, MetricSpec, OwnSpec

if TYPE_CHECKING:
    from coordinator.metrics.tokens import Tokenizer

_PACKAGES = {"ja-mecab": "sacrebleu[ja]", "ko-mecab": "sacrebleu[ko]"}


def load_metric(spec: MetricSpec) -> Metric:
    """The metric that `spec` describes.

    Raises:
        BadInput: its tokenizer is not installed, or its file cannot be used.
    """
    if isinstance(spec, OwnSpec):
        return load_own(spec.name, spec.target, json.loads(spec.options), spec.folder)
    if spec.kind in LABEL_METRICS:
        return accuracy(spec.name) if spec.kind == "accuracy" else f1(spec.name, spec.average)
    if spec.kind in ("bleu", "spbleu"):
        return _bleu(spec)
    return _ter(spec) if spec.kind == "ter" else _chrf(spec)


def _bleu(spec: MetricSpec) -> Metric:
    from coordinator.metrics.bleu import BleuMetric

    tokenizer = _word_tokenizer(spec.tokenize) if spec.kind == "bleu" else _piece_tokenizer(spec)
    return BleuMetric(spec.name, tokenizer, lowercase="lowercase" in spec.switches)


def _word_tokenizer(name: str) -> "Tokenizer":
    from sacrebleu import __version__
    from sacrebleu.metrics.bleu import BLEU

    from coordinator.metrics.tokens import WordTokenizer

    try:
        cut = BLEU(tokenize=name).tokenizer
    except (ImportError, RuntimeError, AssertionError) as error:  # AssertionError: its dictionary
        package = _PACKAGES.get(name, "sacrebleu")
        raise BadInput(
            f"tokenizer {name!r} cannot be used",
            why="a package that it needs is missing, or is not the one it was made for",
            hint=f"pip install '{package}' where the scoring runs",
        ) from error
    return WordTokenizer(cut.signature(), f"{cut.signature()} of sacrebleu {__version__}", cut)


def _piece_tokenizer(spec: MetricSpec) -> "Tokenizer":
    from coordinator.metrics.pieces import PieceTokenizer, leaderboard_tokenizer

    if spec.model is None:
        raise BadInput(f"{spec.name} has no SentencePiece file", hint="give `model`")
    if "leaderboard" in spec.switches:
        return leaderboard_tokenizer(spec.model)
    return PieceTokenizer(spec.model)


def _chrf(spec: MetricSpec) -> Metric:
    from coordinator.metrics.chrf import ChrfMetric

    switches: dict[str, Any] = dict.fromkeys(spec.switches, True)
    return ChrfMetric(spec.name, word_order=2 if spec.kind == "chrf++" else 0, **switches)


def _ter(spec: MetricSpec) -> Metric:
    from coordinator.metrics.ter import TerMetric

    return TerMetric(spec.name, spec.switches)
