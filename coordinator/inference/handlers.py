"""A user's own model: the class `Handler` of the folder's `handler.py`."""

import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from coordinator.domain.model_folder import GUIDE, HANDLER, HANDLER_CLASS
from coordinator.errors import CoordinatorError, ModelError
from coordinator.inference.faults import in_one_line, is_out_of_memory
from coordinator.inference.model import BatchRecord, OnBatch


class HandlerModel:
    """Calls a handler and checks what it returns."""

    def __init__(self, handler: Any, path: Path, device: str, on_batch: OnBatch | None) -> None:
        self._handler, self._path = handler, path
        self.device, self._on_batch = device, on_batch

    def translate(
        self, sentences: list[str], source_language: str, target_language: str
    ) -> list[str]:
        """All sentences in one call. Raises as `Model.translate` says."""
        began = time.perf_counter()
        with _user_code(self._path, "translate"):
            # A copy, so that a handler that changes its list does not change ours.
            found = self._handler.translate(list(sentences), source_language, target_language)
        translations = self._checked(found, len(sentences))
        self._tell(len(sentences), time.perf_counter() - began)
        return translations

    def _checked(self, found: Any, expected: int) -> list[str]:
        if not isinstance(found, list | tuple):
            raise self._wrong(f"translate returned {_type(found)}, not a list of str")
        if len(found) != expected:
            raise self._wrong(f"expected {expected} translations, got {len(found)}")
        for number, translation in enumerate(found, 1):
            if not isinstance(translation, str):
                raise self._wrong(f"translation {number} is {_type(translation)}, not str")
        return list(found)

    def _wrong(self, why: str) -> ModelError:
        hint = f"return one str per sentence, in order; see {GUIDE}"
        return ModelError(f"{self._path} broke the handler's contract", why=why, hint=hint)

    def _tell(self, sentences: int, seconds: float) -> None:
        if self._on_batch:
            self._on_batch(BatchRecord(sentences, None, None, 0, seconds, self.device))


def load_handler(folder: Path, device: str | None, on_batch: OnBatch | None = None) -> HandlerModel:
    """Run `handler.py`, make its `Handler` and let it load.

    Raises:
        ModelError: it has no such class, or its own code failed (the cause).
        MemoryError: memory ran out, the GPU's included.
    """
    path, chosen = folder.resolve() / HANDLER, device or _likely_device()
    with _user_code(path, "import"):
        module = _run(path)
    kind = getattr(module, HANDLER_CLASS, None)
    missing = [name for name in ("load", "translate") if not callable(getattr(kind, name, None))]
    if not isinstance(kind, type) or missing:
        lack = f"no {', '.join(missing)} in {HANDLER_CLASS}"
        why = lack if isinstance(kind, type) else f"it has no class {HANDLER_CLASS}"
        raise ModelError(f"{path} cannot be used", why=why, hint=f"see {GUIDE}")
    with _user_code(path, "load"):
        handler = kind()
        handler.load(path.parent, chosen)
    return HandlerModel(handler, path, chosen, on_batch)


def _run(path: Path) -> ModuleType:
    """The module at `path`; it may import its neighbours, as under `python handler.py`."""
    spec = importlib.util.spec_from_file_location("coordinator_user_handler", path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickling look it up there
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    with _no_bytecode():
        spec.loader.exec_module(module)
    return module


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """A model folder is somebody else's, and may be read-only: leave no `__pycache__` there."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _likely_device() -> str:
    """Whether a GPU is there, without torch, which a handler may not use."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return "cuda" if Path("/dev/nvidiactl").exists() and not hidden else "cpu"


@contextmanager
def _user_code(path: Path, doing: str) -> Iterator[None]:
    """Turn what the user's code raises into a `ModelError`, its cause cut to the user's frames."""
    try:
        yield
    except (CoordinatorError, MemoryError):
        raise  # a stop signal that arrived meanwhile, or the handler's own word
    except (Exception, SystemExit) as error:
        if is_out_of_memory(error):
            raise MemoryError(str(error)) from error
        error.__traceback__ = _from_file(error.__traceback__, path) or error.__traceback__
        where = _last_line_in(error.__traceback__, path)
        raise ModelError(
            f"{where} failed in {doing}",
            why=in_one_line(error),
            hint="try it with `coordinator test-handler`",
        ) from error


def _from_file(trace: TracebackType | None, path: Path) -> TracebackType | None:
    """The traceback from the first frame of the user's file on."""
    while trace is not None and trace.tb_frame.f_code.co_filename != str(path):
        trace = trace.tb_next
    return trace


def _last_line_in(trace: TracebackType | None, path: Path) -> str:
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{path}:{line}" if line else str(path)


def _type(value: Any) -> str:
    return f"a value of type {type(value).__name__}"
