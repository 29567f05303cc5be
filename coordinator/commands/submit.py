"""`submit`: begin a batch, or go on with one."""

from collections.abc import Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path

from coordinator.bootstrap import batch_folder
from coordinator.bootstrap.place import keep_uid
from coordinator.clock import Clock
from coordinator.commands.driving import Driven, Watch, drive
from coordinator.commands.forecast import keep_forecast
from coordinator.commands.overrides import overridden
from coordinator.commands.planning import (
    Plan,
    SubmitRequest,
    output_root_of,
    refuse_known_name,
    source_of,
)
from coordinator.commands.record import BatchRecord, as_document, digest_of, record_of
from coordinator.commands.saving import Place, Superseded, restore, saved_lineage
from coordinator.domain.items import WorkItem
from coordinator.domain.paths import BatchKeys
from coordinator.engine import sort_key
from coordinator.errors import Problem, UsageError
from coordinator.ledger import FILE, Ledger, addresses
from coordinator.pipelines import read_pipeline
from coordinator.settings import Settings
from coordinator.storage import folder_address, open_storage


def begin(plan: Plan, settings: Settings, clock: Clock) -> None:
    """Write down what was asked for; nothing is dispatched yet.

    Raises:
        BatchExists: the name was used before.
    """
    record = plan.record
    folder = batch_folder(settings, record.batch)
    refuse_known_name(folder, open_storage(record.output_root), record.batch)
    keep_uid(folder, record.uid)  # for whoever registers its jobs by hand later
    keyed = _with_sort_keys(addresses.set_aside(folder, plan.selection.items), record)
    with closing(Ledger.create(folder, clock, as_document(record), keyed)) as ledger:
        keep_forecast(ledger, plan.forecast)
    plan.selection.items.close()


def submit(plan: Plan, settings: Settings, clock: Clock, watch: Watch) -> Driven:
    """Begin the planned batch and drive it to its end."""
    begin(plan, settings, clock)
    return drive(settings, plan.record.batch, clock, watch)


def is_begun(request: SubmitRequest) -> bool:
    """Whether the batch is known here, or its ledger is saved in its output root."""
    settings, name = request.settings, request.batch_name
    if not name:
        raise UsageError("--unattended needs to know which batch", hint="--batch_name NAME")
    if (batch_folder(settings, name) / FILE).exists():
        return True
    pipeline = read_pipeline(settings.pipeline) if settings.pipeline else None
    storage = open_storage(output_root_of(request, pipeline))
    return bool(saved_lineage(storage, BatchKeys(name)))


def resume(request: SubmitRequest, given: set[str], clock: Clock, watch: Watch) -> Driven:
    """Go on with a batch. `given`: the flags that were set, which must not contradict the batch.

    Thresholds, slots, the wait and the flags of inference may change; what the batch works on may
    not.
    """
    name = request.batch_name
    if not name:
        raise UsageError("--resume needs to know which batch", hint="--batch_name NAME --resume")

    def prepare(ledger: Ledger) -> None:
        record = record_of(ledger)
        _refuse_contradictions(record, request, given)
        changed = _retuned(record, request, given)
        if changed != record:
            changed.to_batch()  # checks the thresholds
            ledger.set_record(as_document(changed))

    if not (batch_folder(request.settings, name) / FILE).exists():
        restore(_from_elsewhere(request, given, clock), name, clock)
    try:
        return drive(request.settings, name, clock, watch, prepare)
    except Superseded:
        restore(_from_elsewhere(request, given, clock), name, clock)
        return drive(request.settings, name, clock, watch, prepare)


def _from_elsewhere(request: SubmitRequest, given: set[str], clock: Clock) -> Place:
    """Where a batch that was driven elsewhere goes on: here, with what is given here."""
    settings = request.settings
    ledger = batch_folder(settings, request.batch_name or "") / FILE
    pipeline = read_pipeline(settings.pipeline) if settings.pipeline else None
    root = output_root_of(request, pipeline)
    if ledger.exists():
        root = _record_at(settings, request.batch_name or "", clock).output_root
    return Place(settings, root, lambda record: _retuned(record, request, given))


def _record_at(settings: Settings, batch: str, clock: Clock) -> BatchRecord:
    ledger = Ledger.open(batch_folder(settings, batch), clock, read_only=True)
    try:
        return record_of(ledger)
    finally:
        ledger.close()


def _retuned(record: BatchRecord, request: SubmitRequest, given: set[str]) -> BatchRecord:
    settings = request.settings
    tunable = (
        "stop_threshold",
        "resume_threshold",
        "wait_seconds",
        "max_same_failure",
        "slots",
        "keep_jobs",
        "save_ledger",
    )
    changed: dict[str, object] = {n: getattr(settings, n) for n in tunable if n in given}
    if "monitoring_interval_seconds" in given:
        changed["monitoring_interval"] = settings.monitoring_interval_seconds
    if request.canary is not None:
        changed["canary"] = request.canary
    if "job_vars" in given:
        changed["job_vars"] = str(settings.job_vars.absolute()) if settings.job_vars else ""
    changed["pipeline"] = overridden(record.pipeline, request.inference)
    changed["inference"] = {**record.inference, **request.inference}
    return record.model_copy(update=changed)


def _refuse_contradictions(record: BatchRecord, request: SubmitRequest, given: set[str]) -> None:
    settings, problems = request.settings, []
    pipeline = settings.pipeline if "pipeline" in given else None
    flags = {**record.inference, **request.inference}
    if pipeline and overridden(read_pipeline(pipeline), flags) != overridden(
        record.pipeline, request.inference
    ):
        problems.append(Problem("--pipeline", f"{pipeline} differs from the batch's"))
    if "model" in given and folder_address(settings.model) != record.model:
        problems.append(Problem("--model", f"the batch runs with {record.model}"))
    if "output_root" in given and open_storage(settings.output_root).uri != record.output_root:
        problems.append(Problem("--output_root", f"the batch writes to {record.output_root}"))
    if "cluster" in given and settings.cluster != record.cluster:
        problems.append(Problem("--cluster", f"the batch runs on {record.cluster}"))
    if "use_local_creds" in given and settings.use_local_creds != record.use_local_creds:
        problems.append(Problem("--use-local-creds", "the batch was begun without it"))
    source = source_of(settings, request)
    if given & {"catalog", "stac_api_url"} and source != record.source:
        problems.append(Problem("--catalog", f"the batch's items are from {record.source}"))
    if request.limit_items is not None and request.limit_items < record.items:
        problems.append(Problem("--limit_items", f"the batch has {record.items} items"))
    if request.limit_sentences not in ((), record.limits.sentences):
        problems.append(Problem("--limit_sentences", f"the batch has {_sentences_of(record)}"))
    if request.tiny_model and not record.limits.tiny_model:
        problems.append(Problem("--tiny_model", f"the batch runs with {record.model or 'none'}"))
    if request.item_list and not _lists_the_same(request.item_list, record):
        problems.append(Problem("--item_list", f"{request.item_list} names other items"))
    if problems:
        raise UsageError(
            f"batch {record.batch} was submitted with other inputs",
            problems=problems,
            hint=f"leave them out: --batch_name {record.batch} --resume; or choose a new name",
        )


def _sentences_of(record: BatchRecord) -> str:
    numbers = ",".join(map(str, record.limits.sentences))
    return f"--limit_sentences {numbers}" if numbers else "all sentences"


def _lists_the_same(item_list: Path, record: BatchRecord) -> bool:
    """Whether the list names the batch's items and no others, those left out aside."""
    from coordinator.catalog import read_item_list

    left_out = {skipped.id for skipped in record.skipped}
    named = (item_id for item_id in read_item_list(item_list).ids if item_id not in left_out)
    return digest_of(islice(named, record.items)) == record.items_sha256


def _with_sort_keys(
    items: Iterable[WorkItem], record: BatchRecord
) -> Iterable[tuple[WorkItem, str]]:
    first = record.pipeline.steps[0]
    return ((item, sort_key(item, first)) for item in items)
