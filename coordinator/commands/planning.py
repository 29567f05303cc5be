"""Everything that is checked before anything is dispatched, and what will happen if it is."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from coordinator.bootstrap import batch_folder, reach_of
from coordinator.bootstrap.container import goes_with_the_container
from coordinator.catalog import Needs, Selection, open_source, select_items
from coordinator.clock import Clock
from coordinator.commands.forecast import Forecast, forecast, known_rates
from coordinator.commands.models import Model, checked_model
from coordinator.commands.overrides import overridden
from coordinator.commands.placing import UNKNOWN_LANES, Place, place_of
from coordinator.commands.record import BatchRecord, Skipped, digest_of
from coordinator.domain.limits import TINY_MODEL, Limits
from coordinator.domain.names import batch_name_problem
from coordinator.domain.paths import BatchKeys
from coordinator.engine import Thresholds, thresholds_for
from coordinator.errors import (
    BadInput,
    BatchExists,
    CredentialsError,
    ModelError,
    Problem,
    StorageError,
    UsageError,
)
from coordinator.ledger import FILE
from coordinator.pipelines import Pipeline, read_pipeline
from coordinator.settings import Settings
from coordinator.storage import Storage, is_remote, open_storage
from coordinator.storage.aws_keys import caller_keys

T = TypeVar("T")
OnProgress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class SubmitRequest:
    """What the user asked for; None = not said."""

    settings: Settings
    batch_name: str | None = None
    item_list: Path | None = None
    collections: tuple[str, ...] = ()
    limit_items: int | None = None
    limit_sentences: tuple[int, ...] = ()  # of each text, or of each split; () = all
    tiny_model: bool = False  # in place of the model
    canary: int | None = None  # items that must succeed before any other is started
    skip_bad: bool = False
    inference: Mapping[str, object] = field(default_factory=dict)  # options over the pipeline's
    output_root: str | None = None  # as a flag: it wins over the pipeline's, the settings' does not


@dataclass(frozen=True)
class Plan:
    """A batch that was checked and not yet begun."""

    record: BatchRecord
    selection: Selection = field(repr=False)
    forecast: Forecast
    model_kind: str
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        chosen = self.selection
        return {
            "batch": self.record.batch,
            "pipeline": self.record.pipeline.name,
            "model": self.record.model,
            "model_kind": self.model_kind,
            "model_manifest": self.record.manifest.digest if self.record.manifest else None,
            "items": len(chosen.items),
            "listed": chosen.listed,
            "repeated": chosen.repeated,
            "bad": len(chosen.bad),
            "skipped": [s.model_dump() for s in self.record.skipped],
            "limited": self.record.limited,
            "canary": self.record.canary,
            "steps": [vars(step) for step in self.forecast.steps],
            "forecast": self.forecast.to_json(),
            "stop_threshold": self.record.stop_threshold,
            "resume_threshold": self.record.resume_threshold,
            "wait_seconds": self.record.wait_seconds,
            "cluster": self.record.cluster,
            "slots": self.record.slots,
            "output": f"{self.record.output_root.rstrip('/')}/{self.record.batch}",
            "warnings": list(self.warnings),
        }


class Checks:
    """Runs checks one after the other and remembers what each of them found wrong."""

    def __init__(self) -> None:
        self.errors: list[UsageError] = []

    def run(self, check: Callable[[], T]) -> T | None:
        try:
            return check()
        except UsageError as error:
            self.errors.append(error)
            return None

    def error(self) -> UsageError:
        """The one error that was found, or one that names them all."""
        if len(self.errors) == 1:
            return self.errors[0]
        problems = [p for error in self.errors for p in _problems_of(error)]
        return BadInput(
            f"{len(self.errors)} things are wrong; nothing was dispatched",
            problems=problems,
            hint="mend them all; --dry-run checks again and dispatches nothing",
        )


def _problems_of(error: UsageError) -> Sequence[Problem]:
    own = Problem(error.what, error.why or ("see below" if error.problems else ""), error.hint)
    return [own, *error.problems]


def plan_submit(request: SubmitRequest, clock: Clock, on_progress: OnProgress) -> Plan:
    """Check everything; nothing is written but a probe in the output root.

    Raises:
        UsageError: with every problem that was found.
    """
    settings, checks = request.settings, Checks()
    pipeline = checks.run(lambda: _pipeline(request))
    model = checks.run(lambda: _model(request, pipeline, on_progress))
    storage = checks.run(lambda: _writable("--output_root", output_root_of(request, pipeline)))
    checks.run(lambda: _writable("--log_dir", str(settings.log_dir.absolute())))
    checks.run(lambda: _writable("--state_dir", str(settings.state_dir.absolute())))
    checks.run(lambda: _keys_to_hand_on(settings))
    name = checks.run(lambda: _new_name(request, pipeline, storage, clock.now()))
    root = storage.uri if storage else None
    place = checks.run(lambda: place_of(settings, pipeline, root, name))
    thresholds = checks.run(lambda: _thresholds(settings, pipeline, place))
    selection = checks.run(lambda: _select(request, pipeline, on_progress))
    if checks.errors:
        raise checks.error()
    assert pipeline and thresholds and model and storage and name and place and selection
    limits = _limits(request, selection, model)
    record = BatchRecord(
        batch=name,
        pipeline=pipeline,
        inference=dict(request.inference),
        steps=tuple(step.name for step in pipeline.steps),
        model=model.folder,
        manifest=model.manifest,
        trust_model_code=settings.trust_model_code,
        source=source_of(settings, request),
        output_root=storage.uri,
        log_dir=str(settings.log_dir.absolute()),
        cluster=settings.cluster,
        slots=place.lanes,
        keep_jobs=settings.keep_jobs if settings.keep_jobs is not None else place.keeps_jobs,
        save_ledger=settings.save_ledger,
        reach=reach_of(settings),
        monitoring_interval=settings.monitoring_interval_seconds,
        uid=place.uid,
        nomad=place.nomad,
        job_vars=str(settings.job_vars.absolute()) if settings.job_vars else "",
        stop_threshold=thresholds.stop_at,
        resume_threshold=thresholds.resume_at,
        wait_seconds=settings.wait_seconds,
        max_same_failure=settings.max_same_failure,
        use_local_creds=settings.use_local_creds,
        canary=request.canary or 0,
        limits=limits,
        limited=str(limits),
        items=len(selection.items),
        items_sha256=digest_of(selection.items.ids()),
        skipped=tuple(Skipped(id=bad.id, reason=str(bad.problem)) for bad in selection.bad),
        created_at=clock.now(),
    )
    costs = [selection.costs] * len(pipeline.steps)
    known = known_rates(settings, pipeline, model.folder, settings.cluster, clock)
    foreseen = forecast(pipeline, costs, place.lanes, thresholds.stop_at, known)
    warnings = (*place.warnings, *_warnings(record), *_fleeting(settings), *_unknown(model))
    return Plan(record, selection, foreseen, model.kind, warnings)


def _new_name(
    request: SubmitRequest, pipeline: Pipeline | None, storage: Storage | None, now: float
) -> str:
    """The name that was asked for, or the default; nothing has it yet."""
    name = request.batch_name or default_name(pipeline.name if pipeline else "batch", now)
    check_batch_name(name)
    refuse_known_name(batch_folder(request.settings, name), storage, name)
    return name


def default_name(pipeline: str, now: float) -> str:
    """`<pipeline>-<YYYYMMDD-HH>`, in local time, as the person at the clock would say it."""
    return f"{pipeline[:28].rstrip('-._')}-{datetime.fromtimestamp(now):%Y%m%d-%H}"


def check_batch_name(name: str) -> None:
    if problem := batch_name_problem(name):
        better = re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-._")[:40] or "batch"
        raise UsageError(
            f"--batch_name {name!r} cannot be used", why=problem, hint=f"--batch_name {better}"
        )


def refuse_known_name(folder: Path, storage: Storage | None, batch: str) -> None:
    """Refuse a name that has a ledger here or outputs there."""
    if (folder / FILE).exists():
        raise BatchExists(
            f"batch {batch} was submitted before",
            why=f"its ledger is {folder / FILE}",
            hint=f"go on with it: --batch_name {batch} --resume; or choose another --batch_name",
        )
    if storage is None or storage.size(BatchKeys(batch).record) is None:
        return
    raise BatchExists(
        f"{storage.uri} holds outputs of a batch {batch} already",
        why="its ledger is not on this machine, so it was submitted from elsewhere or removed",
        hint="choose another --batch_name or --output_root; or give it a ledger again:"
        f" coordinator rebuild-ledger {batch}",
    )


def _pipeline(request: SubmitRequest) -> Pipeline:
    if request.settings.pipeline is None:
        raise UsageError(
            "no pipeline was given",
            hint="--pipeline inputs/pipelines/translate-and-score.yml",
        )
    return overridden(read_pipeline(request.settings.pipeline), request.inference)


def _thresholds(settings: Settings, pipeline: Pipeline | None, place: Place | None) -> Thresholds:
    return thresholds_for(
        settings.stop_threshold,
        settings.resume_threshold,
        lanes=place.lanes if place and place.lanes else UNKNOWN_LANES,
        pack=pipeline.steps[0].pack.size if pipeline else 1,
    )


def _limits(request: SubmitRequest, selection: Selection, model: Model) -> Limits:
    """What is left out. Where it is not known whether there were more items, there were."""
    limit, asked = request.limit_items, len(selection.items) + len(selection.bad)
    is_cut = limit is not None and asked >= limit
    if selection.listed is not None:
        is_cut = limit is not None and selection.listed > limit
    return Limits(
        items=limit if is_cut else None,
        sentences=request.limit_sentences,
        tiny_model=model.folder == TINY_MODEL,
    )


def _model(request: SubmitRequest, pipeline: Pipeline | None, on_progress: OnProgress) -> Model:
    settings = request.settings
    needed = pipeline.uses("inference") if pipeline else bool(settings.model)
    if not needed:
        return Model("", "")
    if request.tiny_model:
        return Model(TINY_MODEL, "a stand-in: it translates nothing")
    if not settings.model:
        raise ModelError(
            "no model was given",
            why="the pipeline runs inference",
            hint="--model FOLDER (or s3://...): handler.py, a CTranslate2 or Hugging Face model",
        )
    read = 0

    def on_bytes(count: int) -> None:
        nonlocal read
        read += count
        on_progress("model, MB", read // 1_000_000, None)

    return checked_model(settings.model, trust_code=settings.trust_model_code, on_bytes=on_bytes)


def output_root_of(request: SubmitRequest, pipeline: Pipeline | None) -> str:
    of_pipeline = pipeline.output_root if pipeline else ""
    return request.output_root or of_pipeline or request.settings.output_root


def _writable(flag: str, folder: str) -> Storage:
    storage = open_storage(folder)
    try:
        storage.probe()
    except StorageError as error:
        raise UsageError(
            f"{flag} {folder} cannot be written",
            why=error.why or str(error),
            hint="give a folder that you may write to",
        ) from error
    return storage


def _keys_to_hand_on(settings: Settings) -> None:
    if not settings.use_local_creds:
        return
    try:
        caller_keys()
    except CredentialsError as error:
        raise UsageError(f"--use-local-creds: {error.what}", why=error.why, hint=error.hint) from (
            error
        )


def source_of(settings: Settings, request: SubmitRequest) -> str:
    """Where the items come from, for the record: without what a URL may hold of secrets."""
    if settings.catalog:
        return _without_userinfo(settings.catalog)
    return f"{_without_userinfo(settings.stac_api_url)} {','.join(request.collections)}".strip()


def _without_userinfo(location: str) -> str:
    parts = urlsplit(location)
    if not parts.netloc:
        return location
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _needs(pipeline: Pipeline | None) -> Needs:
    if pipeline is None:
        return Needs()
    return Needs(pipeline.assets, frozenset(pipeline.properties), pipeline.aligned)


def _select(
    request: SubmitRequest, pipeline: Pipeline | None, on_progress: OnProgress
) -> Selection:
    settings = request.settings
    source = open_source(
        settings.catalog or None, settings.stac_api_url or None, request.collections
    )
    selection = select_items(
        source,
        request.item_list,
        _needs(pipeline),
        limit=request.limit_items,
        limits=Limits(sentences=request.limit_sentences),
        on_progress=on_progress,
    )
    if selection.bad and not request.skip_bad:
        raise BadInput(
            f"{len(selection.bad):,} of the items cannot be used; nothing was dispatched",
            problems=selection.problems,
            hint="mend them, or go on without them: --skip-bad",
        )
    if not selection.items:
        raise BadInput(
            "no item is left to work on",
            problems=selection.problems,
            hint="check the item list against the catalog",
        )
    return selection


def _fleeting(settings: Settings) -> list[str]:
    """What would be lost with the container that this may run in."""
    if not goes_with_the_container(settings.state_dir):
        return []
    return [
        f"the ledger's folder {settings.state_dir} is on no mount: it goes with this container;"
        " mount it, as tools/coordinator-docker does"
    ]


def _unknown(model: Model) -> list[str]:
    """What no node can check, as nobody has said what it must be."""
    if model.manifest is not None or not is_remote(model.folder):
        return []
    return [
        f"the model {model.folder} has no manifest, so what nodes fetch is only checked against"
        f" what came first; coordinator model-manifest {model.folder} makes one"
    ]


def _warnings(record: BatchRecord) -> list[str]:
    """What will run, but not as well as it could."""
    if not record.slots:
        return []
    pack = min(record.pipeline.steps[0].pack.size, math.ceil(record.items / (2 * record.slots)))
    fits = record.slots * pack
    if record.stop_threshold >= min(fits, record.items):
        return []
    return [
        f"the stop threshold {record.stop_threshold} is below {record.slots} lanes x {pack} items:"
        " lanes will wait"
    ]
