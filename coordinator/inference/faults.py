"""What models raise, in short."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from coordinator.domain.shown import for_terminal
from coordinator.errors import CoordinatorError, ModelError

LONGEST = 300  # characters of an error in one line; the whole of it is in the traceback
_SHOWN = 80  # characters of a sentence in a message


_NO_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "std::bad_alloc")
_SPOILT = ("CUDA error", "CUDA failed", "device-side assert")  # the context is lost with it


def is_out_of_memory(error: BaseException) -> bool:
    """Whether more memory may cure it. Asked by name: torch may not be imported here."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and _says(error, _NO_MEMORY)


def is_spoilt(error: BaseException) -> bool:
    """Whether the GPU does nothing more for this process, whatever it is asked for."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__) and cause not in causes:
        causes.append(cause)
    return not any(map(is_out_of_memory, causes)) and any(_says(each, _SPOILT) for each in causes)


def _says(error: BaseException, signs: Sequence[str]) -> bool:
    said = in_one_line(error)
    return any(sign in said for sign in signs)


@contextmanager
def model_errors(doing: str, hint: str = "its traceback is in the item's log") -> Iterator[None]:
    """Turn what the libraries raise into a `ModelError`, the error itself being the cause."""
    try:
        yield
    except (CoordinatorError, MemoryError):
        raise
    except BaseException as error:
        if not _is_of_a_library(error):
            raise
        if is_out_of_memory(error):
            raise MemoryError(in_one_line(error)) from error
        what, why = f"the model failed in {doing}", in_one_line(error)
        raise ModelError(what, why=why, hint=hint) from error


def _is_of_a_library(error: BaseException) -> bool:
    """A panic of one that is written in Rust is no Exception."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def prefixed(error: Exception, words: str) -> Exception:
    """The same error, its message behind `words`."""
    if isinstance(error, CoordinatorError):
        found: Exception = type(error)(f"{words}: {error.what}", why=error.why, hint=error.hint)
    else:
        found = type(error)(f"{words}: {error}")
    found.__cause__ = error.__cause__
    return found


def line_shown(line: int, sentence: str) -> str:
    """A sentence in a message, as `domain.alike` knows it; lines count from 1."""
    shown = for_terminal(sentence[:_SHOWN]) + ("…" if len(sentence) > _SHOWN else "")
    return f"line {line} («{shown}»)"


@contextmanager
def needed(kind: str, extra: str) -> Iterator[None]:
    """Name what to install where a library is missing that such a model needs."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModelError(
            f"a model of the kind {kind} cannot be run here",
            why=f"{error.name} is not installed",
            hint=f"make setup-{extra} (without a checkout: pip install 'coordinator[{extra}]')",
        ) from error


def in_one_line(error: BaseException) -> str:
    """The error's kind and the first line of what it says."""
    lines = _said(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".removesuffix(": ")[:LONGEST]


def _said(error: BaseException) -> str:
    """What it says, where its own code can say it: it may be anybody's."""
    try:
        return str(error)
    except Exception:
        return "(it cannot say what)"
