"""`show`: the sentences of one item side by side, with their scores and what is suspicious."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from coordinator.clock import Clock
from coordinator.commands.record import BatchRecord, record_of
from coordinator.commands.status import open_ledger
from coordinator.commands.unknown import no_item
from coordinator.domain.items import WorkItem
from coordinator.domain.limits import SPLIT
from coordinator.domain.paths import BatchKeys
from coordinator.domain.states import DONE_ITEMS, ItemState
from coordinator.domain.text import read_lines
from coordinator.errors import BadInput, CoordinatorError, ObjectMissing
from coordinator.ledger import Ledger, addresses
from coordinator.metrics import STATISTICS, lower_is_better
from coordinator.pipelines import Pipeline
from coordinator.scoring.files import read_translations
from coordinator.secrecy import known
from coordinator.secrecy.sources import in_address
from coordinator.settings import Settings, among
from coordinator.storage import open_location, open_storage

# Kinds of metrics, the one first that says most about a single sentence.
_TELLING = ("chrf++", "chrf", "ter", "spbleu", "bleu")
_WITHOUT = "leave out --lowest, and --metric"


@dataclass(frozen=True)
class Wanted:
    """Which sentences are asked for.

    Attributes:
        count: how many at most.
        lowest: those with the worst scores, the worst first; else the first of the text.
        number: this one alone, from 1.
        metric: which scores; "" = those that say most about a sentence.
    """

    count: int = 5
    lowest: bool = False
    number: int | None = None
    metric: str = ""


@dataclass(frozen=True)
class Sentence:
    """One line of the texts; None = there is none, or it cannot be had.

    Attributes:
        number: from 1.
        suspicious: what is, in words.
    """

    number: int
    source: str | None
    reference: str | None
    translation: str | None
    score: float | None
    suspicious: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """What there is of an item, and the sentences that were asked for.

    Attributes:
        metric: whose scores these are; "" = there are none.
        scores: metric -> score of the whole item, by its statistics.
        total: sentences in all.
        suspicious: how many of them are.
        missing: what is not here, each with the reason.
    """

    batch: str
    item: str
    state: ItemState
    languages: tuple[str, str]
    metric: str
    scores: Mapping[str, float]
    total: int
    suspicious: int
    missing: tuple[str, ...]
    sentences: tuple[Sentence, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Texts:
    """What could be read, line by line; None = it could not."""

    source: Sequence[str] | None = None
    reference: Sequence[str] | None = None
    translations: Sequence[str] | None = None

    @property
    def total(self) -> int:
        """Sentences that were worked on; before that, those of the source."""
        found = (self.translations, self.source, self.reference)
        return next((len(lines) for lines in found if lines is not None), 0)


def sentences(settings: Settings, batch: str, item: str, clock: Clock, wanted: Wanted) -> Shown:
    """The sentences of one item, from the output root and from where its assets lie.

    Raises:
        BatchMissing, BadInput: no such batch, item, metric or sentence.
    """
    ledger = open_ledger(settings, batch, clock)
    try:
        record = record_of(ledger)
        found = ledger.item(item)
        if found is None:
            raise no_item(ledger, batch, item)
        reader = _Reader(record, ledger, found)
        state = ledger.state_of(item)
        texts, scores = reader.texts(), reader.scores()
    finally:
        ledger.close()
    missing = (*reader.missing, *_unfinished(batch, item, state, texts, scores.by_metric))
    return _shown(record, found, state, texts, scores, missing, wanted)


class _Scores:
    """What the statistics that a scoring step left say of each sentence."""

    def __init__(self, data: bytes | None, gone: str = "") -> None:
        """`gone`: why they cannot be had, though there are some."""
        from coordinator.metrics.stored import formula_of, read_statistics  # numpy takes a while

        found = read_statistics(data) if data else {}
        formulas = {name: formula_of(name, rows) for name, rows in found.items()}
        self._rows, self.gone = found, gone
        self._formulas = {name: each for name, each in formulas.items() if each is not None}
        self.by_metric = {name: each.score(found[name]) for name, each in self._formulas.items()}

    def chosen(self, asked: str) -> str:
        """The metric to show. Raises BadInput: it is asked for, and is not there."""
        names = list(self.by_metric)
        if asked and asked not in names:
            if self.gone:
                raise self.refusal()
            known = among(asked, names, "metric", len(names))
            raise BadInput(f"nothing is scored by {asked!r}", hint=known)
        by_kind = {name.partition("-")[0]: name for name in names}
        telling = [by_kind[kind] for kind in _TELLING if kind in by_kind]
        return asked or next(iter([*telling, *names]), "")

    def refusal(self) -> BadInput:
        """The error where scores are asked for and there are none."""
        if self.gone:
            return BadInput("the scores are not there", why=self.gone, hint=_WITHOUT)
        return BadInput("no sentence has a score yet", hint=_WITHOUT)

    def of(self, metric: str) -> Sequence[float]:
        """The score of each sentence."""
        formula = self._formulas.get(metric)
        if formula is None:
            return []
        scores: list[float] = formula.sentence_scores(self._rows[metric]).tolist()
        return scores


class _Reader:
    """Reads what the pipeline's steps read and left of one item; what cannot be had is told."""

    def __init__(self, record: BatchRecord, ledger: Ledger, item: WorkItem) -> None:
        self._record, self._item = record, item
        self._hrefs = addresses.whole(ledger.path.parent, item)
        known.learn(each for href in self._hrefs.values() for each in in_address(href))
        self._left = ledger.published(item.id)
        self._storage, self._keys = open_storage(record.output_root), BatchKeys(record.batch)
        self.missing: list[str] = []

    def texts(self) -> _Texts:
        roles = _roles(self._record.pipeline)
        return _Texts(**{what: self._text(what, origin) for what, origin in roles.items()})

    def scores(self) -> _Scores:
        try:
            is_left = STATISTICS in self._left
            return _Scores(self._left_of(STATISTICS, _scoring(self._record)) if is_left else None)
        except CoordinatorError as error:
            self.missing.append(f"no scores: {error}")
            return _Scores(None, str(error))

    def _text(self, what: str, origin: str) -> Sequence[str] | None:
        try:
            data, is_asset = self._data(origin)
            lines = read_translations(data) if what == "translations" else read_lines(data)
            limit = self._record.limits.sentences_of(self._item.properties.get(SPLIT))
            return [line.rstrip() for line in lines[: limit if limit and is_asset else None]]
        except CoordinatorError as error:
            self.missing.append(f"no {what}: {error}")
            return None

    def _left_of(self, name: str, step: str) -> bytes:
        key = self._keys.published(self._item.id, name)
        try:
            return self._storage.read(key)
        except ObjectMissing as error:
            again = f"coordinator rerun {self._record.batch} {self._item.id} --from {step}"
            raise ObjectMissing(
                f"{self._storage.uri}/{key} is no longer there; put it back, or: {again}"
            ) from error

    def _data(self, reference: str) -> tuple[bytes, bool]:
        """The bytes of a text, and whether it is an asset, of which a batch may use a part."""
        origin, _, name = reference.partition("/")
        if origin == "asset":
            with open_location(self._hrefs[name]) as stream:
                return stream.read(), True
        if name not in self._left:
            raise BadInput(f"step {origin} has not left {name} yet")
        return self._left_of(name, origin), False


def _roles(pipeline: Pipeline) -> dict[str, str]:
    """What a person looks at -> where the steps have it from, as a pipeline file names it."""
    found: dict[str, str] = {}
    for step in pipeline.steps:
        if step.job == "inference" and "source" in step.inputs and step.outputs:
            found |= {
                "source": step.inputs["source"],
                "translations": f"{step.name}/{step.outputs[0]}",
            }
        if step.job == "scoring":
            names = ("source", "reference", "translations")
            found |= {name: step.inputs[name] for name in names if name in step.inputs}
    if not found:
        raise BadInput(
            f"pipeline {pipeline.name} translates and scores nothing",
            why="none of its steps is of the kind inference or scoring",
            hint="coordinator fetch brings what its steps left",
        )
    return found


def _scoring(record: BatchRecord) -> str:
    """The step whose statistics are read."""
    return next((s.name for s in record.pipeline.steps if s.job == "scoring"), record.steps[-1])


def _unfinished(
    batch: str, item: str, state: ItemState, texts: _Texts, scores: Mapping[str, float]
) -> list[str]:
    """What an item that is not at its end still lacks."""
    if state in DONE_ITEMS or (texts.translations is not None and scores):
        return []
    lacks = "not scored" if texts.translations is not None else "not translated"
    return [f"the item is {state.replace('_', ' ')}, {lacks}: coordinator why {batch} {item}"]


def _shown(
    record: BatchRecord,
    item: WorkItem,
    state: ItemState,
    texts: _Texts,
    scores: _Scores,
    missing: tuple[str, ...],
    wanted: Wanted,
) -> Shown:
    metric = scores.chosen(wanted.metric)
    each = scores.of(metric)
    marks = _marks(texts)
    return Shown(
        batch=record.batch,
        item=item.id,
        state=state,
        languages=(_language(item, "source"), _language(item, "target")),
        metric=metric,
        scores=scores.by_metric,
        total=texts.total,
        suspicious=len(marks),
        missing=missing,
        sentences=tuple(
            _sentence(line, texts, each, marks)
            for line in _chosen(texts.total, scores, metric, wanted)
        ),
    )


def _language(item: WorkItem, end: str) -> str:
    value = item.properties.get(f"mt:{end}_language")
    return value if isinstance(value, str) else ""


def _marks(texts: _Texts) -> Mapping[int, tuple[str, ...]]:
    """Line -> what is suspicious about its translation."""
    if not texts.translations:
        return {}
    from coordinator.metrics import suspicious_lines  # numpy takes a while

    size = len(texts.translations)

    def alike(lines: Sequence[str] | None) -> Sequence[str] | None:
        return lines if lines is not None and len(lines) == size else None

    return suspicious_lines(texts.translations, alike(texts.reference), alike(texts.source))


def _chosen(total: int, scores: _Scores, metric: str, wanted: Wanted) -> Sequence[int]:
    """The lines to show, from 0."""
    if wanted.number is not None:
        if not 1 <= wanted.number <= total:
            raise BadInput(
                f"there is no sentence {wanted.number:,}", hint=f"there are {total:,}, from 1"
            )
        return [wanted.number - 1]
    if not wanted.lowest:
        return range(min(wanted.count, total))
    each = scores.of(metric)
    if not each:
        raise scores.refusal()
    sign = -1 if lower_is_better(metric) else 1
    return sorted(range(min(total, len(each))), key=lambda n: sign * each[n])[: wanted.count]


def _sentence(
    line: int, texts: _Texts, scores: Sequence[float], marks: Mapping[int, tuple[str, ...]]
) -> Sentence:
    def of(lines: Sequence[Any] | None) -> Any:
        return lines[line] if lines is not None and line < len(lines) else None

    return Sentence(
        line + 1,
        of(texts.source),
        of(texts.reference),
        of(texts.translations),
        of(scores),
        marks.get(line, ()),
    )
