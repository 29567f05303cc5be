"""`run-one`: the handoff of one item worked off on this machine, apart from its batch."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.bootstrap.environment import worker_environment
from coordinator.clock import Clock
from coordinator.commands.logs import LogRequest, choose
from coordinator.commands.record import record_of
from coordinator.commands.status import open_ledger
from coordinator.domain.handoff import Handoff, Outcome, parse_outcome, read_handoff
from coordinator.domain.limits import TINY_MODEL
from coordinator.domain.paths import BatchKeys
from coordinator.errors import BadInput, ObjectMissing, UsageError
from coordinator.settings import Settings
from coordinator.storage import Storage, open_storage
from coordinator.storage.locations import is_remote

FOLDER = Path("run-one")  # in the folder where one works
_GPU = Path("/dev/nvidiactl")
_WORKER, _UNDER_PDB = "coordinator.workers", "coordinator.workers.run_here"


@dataclass(frozen=True)
class Prepared:
    """An item that can be worked off here."""

    folder: Path  # the output root of this one run; it stays
    key: str  # of the handoff in it
    handoff: Handoff
    notes: tuple[str, ...]  # what is not as on the cluster


@dataclass(frozen=True)
class Ran:
    """What came of it; without an outcome, its exit code says all."""

    prepared: Prepared
    exit_code: int
    outcome: Outcome | None

    @property
    def has_succeeded(self) -> bool:
        return self.outcome is not None and self.outcome.status != "failed"

    @property
    def files(self) -> tuple[Path, ...]:
        """What the job left."""
        (item,) = self.prepared.handoff.items
        keys = BatchKeys(self.prepared.handoff.batch)
        attempt = keys.attempt(item.item, self.prepared.handoff.step, item.attempt)
        names = [file.name for file in self.outcome.files] if self.outcome else []
        return tuple(self.prepared.folder / attempt.file(name) for name in names)

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.prepared.folder),
            "step": self.prepared.handoff.step,
            "exit_code": self.exit_code,
            "notes": list(self.prepared.notes),
            "outcome": self.outcome.model_dump(mode="json") if self.outcome else None,
            "files": [str(path) for path in self.files],
        }


def prepare(
    settings: Settings,
    batch: str,
    item: str,
    clock: Clock,
    *,
    step: str | None = None,
    model: Path | None = None,
) -> Prepared:
    """Copy the newest handoff of an item, and what earlier steps left for it, into a new folder.

    The batch's ledger and outputs are only read. `model`: a folder to use in place of the batch's.

    Raises:
        BadInput: it was not sent yet, or cannot run here.
    """
    ledger = open_ledger(settings, batch, clock)
    try:
        chosen = choose(ledger, LogRequest(batch, item, step))
        record = record_of(ledger)
    finally:
        ledger.close()
    origin, key = open_storage(record.output_root), BatchKeys(batch).handoff(chosen.dispatch.name)
    handoff = _of_one(read_handoff(_handoff(origin, key, item)), item, chosen.attempt)
    handoff = _with_model(handoff, model)
    gpus = next(s.resources.gpus for s in record.pipeline.steps if s.name == chosen.step)
    notes = tuple(_differences(handoff, gpus))
    folder = _new_folder(batch, chosen.step, item).absolute()
    here = open_storage(str(folder))
    for ref in handoff.items[0].inputs.values():
        if ref.key:
            _copy(origin, here, folder, ref.key)
    handoff = handoff.model_copy(update={"output_root": here.uri})
    here.write(key, handoff.model_dump_json(indent=1).encode())
    return Prepared(folder, key, handoff, notes)


def run(settings: Settings, prepared: Prepared, *, under_pdb: bool) -> Ran:
    """Work it off in a process like a worker's; under pdb on this terminal, else with a log."""
    module = _UNDER_PDB if under_pdb else _WORKER
    command = [sys.executable, "-m", module, str(prepared.folder), prepared.key]
    environment = dict(worker_environment(settings))
    if under_pdb:
        with _left_to_the_program():
            code = subprocess.run(command, env=environment, check=False).returncode
    else:
        with (prepared.folder / "log").open("wb") as log:
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        code = done.returncode
    return Ran(prepared, code, _outcome(prepared))


def _handoff(origin: Storage, key: str, item: str) -> bytes:
    try:
        return origin.read(key)
    except ObjectMissing as error:
        raise BadInput(
            f"the handoff of {item} is not there any more",
            why=f"no {key} in {origin.uri}",
            hint="it went with the batch's outputs: run-one needs them",
        ) from error


def _of_one(handoff: Handoff, item: str, attempt: int) -> Handoff:
    """The same for this item alone, and unmeasured."""
    items = tuple(each for each in handoff.items if (each.item, each.attempt) == (item, attempt))
    if len(items) != 1:
        raise BadInput(f"the handoff does not have {item}", why=f"it is {handoff.dispatch}'s")
    return handoff.model_copy(update={"items": items, "monitoring_interval": 0.0})


def _with_model(handoff: Handoff, model: Path | None) -> Handoff:
    """With another model, of which nothing is known that it would have to be."""
    if model is not None:
        if handoff.job != "inference":
            raise UsageError(f"step {handoff.step} uses no model", hint="leave --model out")
        return handoff.model_copy(update={"model": str(model.absolute()), "manifest": None})
    is_place = handoff.model and handoff.model != TINY_MODEL and not is_remote(handoff.model)
    if is_place and not Path(handoff.model).is_dir():
        raise BadInput(
            f"the model {handoff.model} is not on this machine",
            why="the batch's jobs find it where they run",
            hint="copy it here, and give --model FOLDER",
        )
    return handoff


def _differences(handoff: Handoff, gpus: int) -> Iterator[str]:
    """What the cluster has, and this machine has not. Raises BadInput: it cannot do without."""
    if _GPU.exists():
        return
    if handoff.options.get("device") == "cuda":
        raise BadInput(
            f"step {handoff.step} cannot run on this machine",
            why="its options say `device: cuda`, and there is no GPU here",
            hint="run it where there is one",
        )
    if gpus:
        yield f"step {handoff.step} asks for {gpus} GPU(s), and there is none here: it is slower"


def _new_folder(batch: str, step: str, item: str) -> Path:
    """A folder of its own for each run."""
    above = FOLDER / batch
    number = 1
    while True:
        folder = above / f"{item}-{step}-{number}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
        except OSError as error:
            raise UsageError(
                f"{folder} cannot be made",
                why=error.strerror or str(error),
                hint="go to a folder that you may write to",
            ) from error


def _copy(origin: Storage, here: Storage, folder: Path, key: str) -> None:
    aside = folder / "input"
    with origin.open(key) as source, aside.open("wb") as sink:
        shutil.copyfileobj(source, sink)
    here.upload(aside, key)
    aside.unlink(missing_ok=True)


def _outcome(prepared: Prepared) -> Outcome | None:
    (item,) = prepared.handoff.items
    keys = BatchKeys(prepared.handoff.batch)
    key = keys.attempt(item.item, prepared.handoff.step, item.attempt).outcome
    try:
        return parse_outcome(open_storage(str(prepared.folder)).read(key))
    except ObjectMissing:
        return None


@contextmanager
def _left_to_the_program() -> Iterator[None]:
    """Ctrl-C is for the program on the terminal alone. It is not ignored: that is inherited."""
    before: Callable[..., Any] | int | None = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
