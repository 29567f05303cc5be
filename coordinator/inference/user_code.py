"""Code that somebody else wrote: run from its file, its errors told by its own lines."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType

from coordinator.errors import CoordinatorError, ModelError
from coordinator.inference.faults import in_one_line, is_out_of_memory


def run_file(path: Path) -> ModuleType:
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


@contextmanager
def user_code(path: Path, doing: str) -> Iterator[None]:
    """Turn what the user's code raises into a `ModelError`, its cause cut to the user's frames."""
    try:
        yield
    except (CoordinatorError, MemoryError):
        raise  # a stop signal that arrived meanwhile, or the handler's own word
    except (Exception, SystemExit) as error:
        if is_out_of_memory(error):
            raise MemoryError(in_one_line(error)) from error
        error.__traceback__ = _from_file(error.__traceback__, path) or error.__traceback__
        where = _last_line_in(error.__traceback__, path)
        raise ModelError(
            f"{where} failed in {doing}",
            why=in_one_line(error),
            hint="mend it there, and see what `coordinator test-handler` says",
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
