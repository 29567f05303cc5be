"""Translation of an item's sentences by the model of the dispatch."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from coordinator.domain.handoff import Handoff, HandoffItem
from coordinator.domain.job_options import InferenceOptions
from coordinator.domain.limits import TINY_MODEL
from coordinator.domain.log_events import BATCH
from coordinator.domain.text import read_lines
from coordinator.domain.work import Done
from coordinator.errors import BadInput
from coordinator.inference import BatchRecord, load_model
from coordinator.inference.tiny import TINY_FOLDER
from coordinator.storage import local_folder, refuse_foreign_code
from coordinator.workers.logs import WorkerLog

TRANSLATIONS = "translations.jsonl"


class InferenceJob:
    """Loads the model once; then writes `translations.jsonl` for each item."""

    def __init__(self, handoff: Handoff) -> None:
        options = InferenceOptions.model_validate(handoff.options)
        self._log = WorkerLog(dispatch=handoff.dispatch)
        self._model = load_model(
            self._model_folder(handoff),
            device=options.device,
            batch_size=options.batch_size,
            on_batch=self._log_batch,
        )

    def _model_folder(self, handoff: Handoff) -> Path:
        """Where the model lies on this node, checked as far as it is known what it must be."""
        if handoff.model == TINY_MODEL:  # the stand-in comes with the worker
            return TINY_FOLDER
        began = time.monotonic()
        folder = local_folder(handoff.model, handoff.manifest)
        refuse_foreign_code(handoff.model, folder, trusted=handoff.trust_model_code)
        digest = handoff.manifest.digest if handoff.manifest else None
        seconds = round(time.monotonic() - began, 3)
        self._log.info("model here", model=handoff.model, manifest=digest, seconds=seconds)
        return folder

    def run(self, item: HandoffItem, inputs: Mapping[str, Path], out: Path) -> Done:
        if "source" not in inputs:
            raise BadInput(f"{item.item} has no input `source`", hint="see the step's inputs")
        sentences = read_lines(inputs["source"].read_bytes())
        languages = [_language(item, end) for end in ("source", "target")]
        began = time.monotonic()
        translations = self._model.translate(sentences, *languages)
        with (out / TRANSLATIONS).open("w", encoding="utf-8") as stream:
            for line, translation in enumerate(translations, start=1):
                record = {"line": line, "translation": translation}
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")
        return Done({"sentences": len(sentences), "seconds": time.monotonic() - began})

    def _log_batch(self, batch: BatchRecord) -> None:
        self._log.info(BATCH, **asdict(batch))


def _language(item: HandoffItem, end: str) -> str:
    value = item.properties.get(f"mt:{end}_language")
    if not isinstance(value, str) or not value:
        raise BadInput(f"{item.item} has no property mt:{end}_language")
    return value
