"""The scoring step of a pipeline."""

import time
from collections.abc import Mapping
from pathlib import Path

from coordinator.domain.handoff import Handoff, HandoffItem
from coordinator.domain.work import Done
from coordinator.errors import BadInput
from coordinator.metrics import DEFAULT_METRICS, PreparedStore, parse_metrics
from coordinator.scoring.files import about, read_hypotheses, read_source
from coordinator.scoring.references import read_references
from coordinator.scoring.scorer import Scorer, Task


class ScoringJob:
    """Scores input `translations` (JSONL) against input `reference` (one sentence a line).

    With the input `source` it also notices copies of it.
    Leaves `scores.json` and `statistics.json`. `options.metrics` says which metrics; a relative
    `model` in it starts at the worker's folder. Prepared references are kept in memory, those of
    one text at a time, and in the folder `options.prepared` where that is given.

    Raises:
        BadInput: the metrics cannot be used here.
    """

    def __init__(self, handoff: Handoff) -> None:
        entries = handoff.options.get("metrics", DEFAULT_METRICS)
        metrics = parse_metrics(entries, where=f"step {handoff.step}")
        self._scorer = Scorer(metrics, _store(handoff.options.get("prepared")))
        self._limited = handoff.limited

    def run(self, item: HandoffItem, inputs: Mapping[str, Path], out: Path) -> Done:
        began = time.monotonic()
        with about(item.item):
            task = _task(item, inputs)
            scored = self._scorer.score(task).marked(self._limited)
        scored.write(out)
        signs = scored.scores.suspicious
        return Done(
            {
                "scores": scored.scores.by_metric(),
                "signatures": {name: m.signature for name, m in scored.scores.metrics.items()},
                "languages": list(task.languages),
                "sentences": scored.scores.sentences,
                "suspicious": signs.model_dump(mode="json") if signs else {},
                "seconds": time.monotonic() - began,
            },
            message="; ".join(signs.flags) if signs else "",
        )


def _store(folder: object) -> PreparedStore | None:
    return PreparedStore(Path(folder)) if folder and isinstance(folder, str) else None


def _task(item: HandoffItem, inputs: Mapping[str, Path]) -> Task:
    return Task(
        item.item,
        read_hypotheses(_input(inputs, "translations"), jsonl=True),
        read_references([_input(inputs, "reference")]),
        (_language(item, "source"), _language(item, "target")),
        read_source(inputs["source"]) if "source" in inputs else None,
    )


def _input(inputs: Mapping[str, Path], name: str) -> Path:
    if name not in inputs:
        raise BadInput(f"no input `{name}`", hint="see the step's inputs in the pipeline file")
    return inputs[name]


def _language(item: HandoffItem, end: str) -> str:
    """Only to be written down: scoring needs no language."""
    value = item.properties.get(f"mt:{end}_language")
    return value if isinstance(value, str) else ""
