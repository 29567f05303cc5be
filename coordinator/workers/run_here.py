"""`python -m coordinator.workers.run_here OUTPUT_ROOT HANDOFF_KEY`: one item, under pdb.

Everything runs in this one process, on a terminal: `breakpoint()` works in a handler, and where it
raises, or Ctrl-C ends it, pdb opens there. Its outcome is left like a worker's.
"""

import os
import pdb
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from coordinator.domain import curves
from coordinator.domain.handoff import Handoff, HandoffItem, read_handoff
from coordinator.domain.job_options import InferenceOptions
from coordinator.domain.work import Done, Job, PackJob, Parcel
from coordinator.errors import CoordinatorError, ModelError
from coordinator.inference.load import load_backend
from coordinator.inference.model import Model
from coordinator.storage import fetching, open_storage
from coordinator.workers.curves import Curves
from coordinator.workers.desk import Desk
from coordinator.workers.discretion import learn_addresses, learn_own, told
from coordinator.workers.failures import exit_of, kind_of
from coordinator.workers.inference import model_folder, text_of, write_translations
from coordinator.workers.jobs import make_job
from coordinator.workers.logs import WorkerLog
from coordinator.workers.stop import StopFlag

_BATCH = 32  # sentences, of a model that takes batches


class _Left(BaseException):
    """Somebody has left the debugger; no handler is to catch that."""


class _Prompt(pdb.Pdb):
    """What `breakpoint()` opens."""

    def set_quit(self) -> None:
        raise _Left


class InferenceHere:
    """Translation without processes of the model's own."""

    def __init__(self, handoff: Handoff) -> None:
        options = InferenceOptions.model_validate(handoff.options)
        folder = model_folder(handoff, WorkerLog(dispatch=handoff.dispatch))
        backend = load_backend(folder, options, options.device)
        self._model = Model(backend, options.batch_size or _BATCH)

    def run(self, item: HandoffItem, inputs: Mapping[str, Path], out: Path) -> Done:
        os.environ[curves.VARIABLE] = str(curves.folder_beside(out))
        text, began = text_of(Parcel(item, inputs, out)), time.monotonic()
        found = self._model.translate(text.sentences, text.source, text.target)
        write_translations(out, found)
        return Done({"sentences": len(found), "seconds": time.monotonic() - began})


def main() -> int:
    if len(sys.argv) != 3:
        sys.exit("usage: python -m coordinator.workers.run_here OUTPUT_ROOT HANDOFF_KEY")
    learn_own()
    sys.breakpointhook = lambda *_, **__: _Prompt().set_trace(sys._getframe(1))
    try:
        return _run(sys.argv[1], sys.argv[2])
    except CoordinatorError as error:
        WorkerLog().error("dispatch failed", error=str(error), hint=error.hint)
        return exit_of(kind_of(error))


def _run(output_root: str, key: str) -> int:
    storage = open_storage(output_root)
    handoff = read_handoff(storage.read(key))
    fetching.allow(handoff.reach)
    learn_addresses(handoff)
    with Curves(handoff, storage) as written:
        desk = Desk(handoff, storage, StopFlag(), lambda _: {}, written)
        return _worked_off(handoff, desk)


def _worked_off(handoff: Handoff, desk: Desk) -> int:
    (item,) = handoff.items
    began = desk.begin(item)
    with tempfile.TemporaryDirectory(prefix="item-") as scratch:
        try:
            parcel = desk.unpack(item, Path(scratch))
        except Exception as error:
            return desk.put_away(item, None, error, began)
        return desk.put_away(item, parcel.out, _debugged(handoff, parcel), began)


def _debugged(handoff: Handoff, parcel: Parcel) -> Done | Exception:
    """What comes of the item; pdb opens where it fails."""
    try:
        job = InferenceHere(handoff) if handoff.job == "inference" else _job(handoff)
        return job.run(parcel.item, parcel.inputs, parcel.out)
    except Exception as error:
        cause = error.__cause__ or error
        _post_mortem(cause, cause.__traceback__)
        return error
    except _Left:
        return ModelError("the debugger was left before the item was done")
    except KeyboardInterrupt as stop:
        _post_mortem(stop, stop.__traceback__)
        return ModelError("ended by Ctrl-C")


def _job(handoff: Handoff) -> Job:
    job = make_job(handoff)
    assert not isinstance(job, PackJob), handoff.job
    return job


def _post_mortem(error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(told("".join(traceback.format_exception(error))))
    if trace is not None:
        pdb.post_mortem(trace)


if __name__ == "__main__":
    sys.exit(main())
