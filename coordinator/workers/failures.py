"""What an exception means for its item, and for the worker's exit code."""

import traceback

from coordinator.domain.handoff import Failure
from coordinator.domain.states import FailureKind
from coordinator.domain.work import TracebackElsewhere
from coordinator.errors import (
    BadInput,
    CoordinatorError,
    CredentialsError,
    SourceUnreachable,
    StorageError,
    WorkerExit,
    WorkInterrupted,
)
from coordinator.workers.discretion import told

_EXITS = {
    FailureKind.BAD_INPUT: WorkerExit.BAD_INPUT,
    FailureKind.CREDENTIALS: WorkerExit.CREDENTIALS,
    FailureKind.INFRASTRUCTURE: WorkerExit.TRY_AGAIN,
}


def kind_of(error: BaseException) -> FailureKind:
    """The failure kind of an exception."""
    match error:
        case BadInput():
            return FailureKind.BAD_INPUT
        case CredentialsError():
            return FailureKind.CREDENTIALS
        case StorageError() | SourceUnreachable() | WorkInterrupted():
            return FailureKind.INFRASTRUCTURE
        case MemoryError():
            return FailureKind.OUT_OF_MEMORY
        case TimeoutError():
            return FailureKind.TIMEOUT
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be installed
        return FailureKind.OUT_OF_MEMORY
    return FailureKind.MODEL_ERROR


def failure_of(error: Exception) -> Failure:
    """What the outcome file says of an exception: its kind, one line, its traceback; masked."""
    shown: BaseException | None = error
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, CoordinatorError):
        message, shown = str(error), error.__cause__
    trace = _traceback(shown) if shown else ""
    message, trace = told(_in_utf8(message)), told(_in_utf8(trace))
    return Failure(kind=kind_of(error), message=message, traceback=trace)


def _traceback(error: BaseException) -> str:
    if isinstance(error.__cause__, TracebackElsewhere):
        error = error.__cause__
    if isinstance(error, TracebackElsewhere):
        return str(error)
    return "".join(traceback.format_exception(error))


def _in_utf8(text: str) -> str:
    """Halves of characters, as file names and damaged input leave them, written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def exit_of(kind: FailureKind) -> int:
    return _EXITS.get(kind, WorkerExit.MODEL_ERROR)
