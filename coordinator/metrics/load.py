"""From a metric's settings to the metric. Nothing is downloaded."""

from typing import TYPE_CHECKING, Any

from coordinator.errors import BadInput
from coordinator.metrics.metric import Metric
from coordinator.metrics.sacrebleu_metric import SacrebleuMetric
from coordinator.metrics.spec import MetricSpec

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

_PACKAGES = {"ja-mecab": "sacrebleu[ja]", "ko-mecab": "sacrebleu[ko]"}


def load_metric(spec: MetricSpec) -> Metric:
    """The metric that `spec` describes.

    Raises:
        BadInput: its tokenizer is not installed, or its file cannot be used.
    """
    if spec.kind == "bleu":
        return SacrebleuMetric(spec.name, _bleu(spec.tokenize, spec))
    if spec.kind == "spbleu":
        return _spbleu(spec)
    switches: dict[str, Any] = dict.fromkeys(spec.switches, True)
    if spec.kind == "ter":
        return _ter(spec.name, switches)
    return _chrf(spec, switches)


def _bleu(tokenize: str, spec: MetricSpec) -> "BLEU":
    from sacrebleu.metrics.bleu import BLEU

    try:  # `force` only silences a guess that the text is tokenized already
        return BLEU(lowercase="lowercase" in spec.switches, tokenize=tokenize, force=True)
    except (ImportError, RuntimeError, AssertionError) as error:  # AssertionError: its dictionary
        package = _PACKAGES.get(tokenize, "sacrebleu")
        raise BadInput(
            f"tokenizer {tokenize!r} cannot be used",
            why="a package that it needs is missing, or is not the one it was made for",
            hint=f"pip install '{package}' where the scoring runs",
        ) from error


def _spbleu(spec: MetricSpec) -> Metric:
    """BLEU over the pieces as sacrebleu cuts them for `flores200`, but with a file of one's own."""
    from coordinator.metrics.pieces import PieceTokenizer

    if spec.model is None:
        raise BadInput(f"{spec.name} has no SentencePiece file", hint="give `model`")
    tokenizer = PieceTokenizer(spec.model)
    scorer = _bleu("none", spec)
    scorer.tokenizer = tokenizer
    scorer.tokenizer_signature = tokenizer.signature()
    metric = SacrebleuMetric(spec.name, scorer)
    metric.tokenizer_sha256 = tokenizer.sha256
    return metric


def _chrf(spec: MetricSpec, switches: dict[str, Any]) -> Metric:
    from coordinator.metrics.chrf import ChrfMetric

    return ChrfMetric(spec.name, word_order=2 if spec.kind == "chrf++" else 0, **switches)


def _ter(name: str, switches: dict[str, Any]) -> Metric:
    from sacrebleu.metrics.ter import TER

    return SacrebleuMetric(name, TER(**switches))
