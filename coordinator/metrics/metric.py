"""sacrebleu's metrics, taken apart into what a segment contributes and what a corpus scores.

The extraction of the statistics and the final formulas are sacrebleu's own methods. Those that
begin with an underscore are the ones that its `corpus_score` and its significance tests are made
of; the tests hold every result against `corpus_score`, so another version of it cannot slip by.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coordinator.errors import BadInput
from coordinator.metrics.spec import MetricSpec

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as SacrebleuMetric
    from sacrebleu.metrics.bleu import BLEU

Statistics = list[list[int]]  # one row of counts per segment; what they count is the metric's own

_BLOCK = 1000  # references prepared at a time where they are not kept: bounds the memory
_PACKAGES = {"ja-mecab": "sacrebleu[ja]", "ko-mecab": "sacrebleu[ko]"}


@dataclass(frozen=True)
class Prepared:
    """References as one metric compares with them; for chrF++ about 50 kB a sentence."""

    segments: Sequence[Any]

    def __len__(self) -> int:
        return len(self.segments)


class Metric:
    """One metric, ready for use: `load_metric` makes it.

    Attributes:
        name: its key in outputs.
        tokenizer_sha256: of the tokenizer's file, or "" where it has none.
    """

    def __init__(self, name: str, scorer: "SacrebleuMetric", tokenizer_sha256: str = "") -> None:
        self.name = name
        self.tokenizer_sha256 = tokenizer_sha256
        self._scorer = scorer
        self._scorer.num_refs = 1  # for the signature, which else needs references first

    def prepare(self, references: Sequence[str]) -> Prepared:
        """`references`, to be compared with many hypotheses."""
        return Prepared(self._scorer._cache_references([references]))

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[str] | Prepared
    ) -> Statistics:
        """The counts of each segment: `len(hypotheses)` rows of equal length.

        Raises:
            BadInput: not as many hypotheses as references. (sacrebleu's own interface for Python
                would go by the shorter of the two, and score two against one as 100.)
        """
        if len(hypotheses) != len(references):
            raise BadInput(f"{len(hypotheses)} hypotheses, but {len(references)} references")
        pairs = zip(hypotheses, self._segments(references), strict=True)
        return [self._row(hypothesis, segment) for hypothesis, segment in pairs]

    def score(self, statistics: Sequence[Sequence[int]]) -> float:
        """The corpus score, by sacrebleu's formula of the summed statistics (at least one row).

        It is no mean of segment scores. One row that is a sum already gives the same.
        """
        return float(self._scorer._compute_score_from_stats(summed(statistics)).score)

    def signature(self) -> str:
        """What somebody needs to know to get the same number, in sacrebleu's form."""
        return str(self._scorer.get_signature())

    def _segments(self, references: Sequence[str] | Prepared) -> Iterator[Any]:
        if isinstance(references, Prepared):
            yield from references.segments
            return
        for start in range(0, len(references), _BLOCK):
            yield from self._scorer._cache_references([references[start : start + _BLOCK]])

    def _row(self, hypothesis: str, segment: Any) -> list[int]:
        """TER's reference length is a float, being a mean over references; of one it is whole."""
        text = self._scorer._preprocess_segment(hypothesis)
        return [int(count) for count in self._scorer._compute_segment_statistics(text, segment)]


def summed(statistics: Sequence[Sequence[int]]) -> list[int]:
    """The sum of the rows, count by count."""
    return [sum(column) for column in zip(*statistics, strict=True)]


def load_metric(spec: MetricSpec) -> Metric:
    """The metric that `spec` describes. Nothing is downloaded.

    Raises:
        BadInput: its tokenizer is not installed, or its file cannot be used.
    """
    if spec.kind == "bleu":
        return Metric(spec.name, _bleu(spec.tokenize, spec))
    if spec.kind == "spbleu":
        return _spbleu(spec)
    return Metric(spec.name, _character_or_edit_metric(spec))


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
    return Metric(spec.name, scorer, tokenizer.sha256)


def _character_or_edit_metric(spec: MetricSpec) -> "SacrebleuMetric":
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    switches: dict[str, Any] = dict.fromkeys(spec.switches, True)
    if spec.kind == "ter":
        return TER(**switches)
    return CHRF(word_order=2 if spec.kind == "chrf++" else 0, **switches)
