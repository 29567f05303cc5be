"""Translation of the items of a dispatch by its model."""

import json
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import asdict
from pathlib import Path

from coordinator.domain.curves import folder_beside
from coordinator.domain.handoff import Handoff, HandoffItem
from coordinator.domain.job_options import InferenceOptions
from coordinator.domain.limits import TINY_MODEL
from coordinator.domain.log_events import BATCH
from coordinator.domain.text import read_lines
from coordinator.domain.work import Done, Parcel
from coordinator.errors import BadInput
from coordinator.inference import BatchRecord
from coordinator.inference.book import Text, Translated
from coordinator.inference.engine import Engine
from coordinator.inference.tiny import TINY_FOLDER
from coordinator.storage import local_folder, refuse_foreign_code
from coordinator.workers.logs import WorkerLog

TRANSLATIONS = "translations.jsonl"


class InferenceJob:
    """Loads the model once; then writes `translations.jsonl` for each item."""

    def __init__(self, handoff: Handoff, stopped: Callable[[], bool] = lambda: False) -> None:
        options = InferenceOptions.model_validate(handoff.options)
        self._log = WorkerLog(dispatch=handoff.dispatch)
        told = self._log_batch, self._log.model, self._log_loss
        folder = model_folder(handoff, self._log)
        self._engine = Engine(folder, options, *told, stopped=stopped, reach=handoff.reach)

    def run_all(
        self, parcels: Iterable[Parcel], stopped: Callable[[], bool] = lambda: False
    ) -> Generator[tuple[Parcel, Done | Exception], None, None]:
        try:
            for parcel, found in self._engine.work_off(parcels, text_of, stopped):
                yield parcel, found if isinstance(found, Exception) else _written(parcel, found)
        finally:
            self._engine.close()

    def _log_batch(self, batch: BatchRecord) -> None:
        self._log.info(BATCH, **asdict(batch))

    def _log_loss(self, why: str) -> None:
        self._log.warning("model process lost", why=why)


def model_folder(handoff: Handoff, log: WorkerLog) -> Path:
    """Where the model lies on this node, checked as far as it is known what it must be."""
    if handoff.model == TINY_MODEL:  # the stand-in comes with the worker
        return TINY_FOLDER
    began = time.monotonic()
    folder = local_folder(handoff.model, handoff.manifest)
    refuse_foreign_code(handoff.model, folder, trusted=handoff.trust_model_code)
    digest = handoff.manifest.digest if handoff.manifest else None
    seconds = round(time.monotonic() - began, 3)
    log.info("model here", model=handoff.model, manifest=digest, seconds=seconds)
    return folder


def text_of(parcel: Parcel) -> Text:
    """The sentences of an item. Raises BadInput: it has none, or no languages."""
    item = parcel.item
    if "source" not in parcel.inputs:
        raise BadInput(f"{item.item} has no input `source`", hint="see the step's inputs")
    source, target = (_language(item, end) for end in ("source", "target"))
    lines = read_lines(parcel.inputs["source"].read_bytes())
    return Text(item.item, lines, source, target, str(folder_beside(parcel.out)))


def write_translations(out: Path, translations: Iterable[str]) -> None:
    """`translations.jsonl`, one a line."""
    with (out / TRANSLATIONS).open("w", encoding="utf-8") as stream:
        for line, translation in enumerate(translations, start=1):
            record = {"line": line, "translation": translation}
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def _written(parcel: Parcel, found: Translated) -> Done:
    write_translations(parcel.out, found.translations)
    return Done(
        {
            "sentences": len(found.translations),
            "seconds": found.seconds,
            "tokens": found.tokens,
            "truncated": found.truncated,
        }
    )


def _language(item: HandoffItem, end: str) -> str:
    value = item.properties.get(f"mt:{end}_language")
    if not isinstance(value, str) or not value:
        raise BadInput(f"{item.item} has no property mt:{end}_language")
    return value
