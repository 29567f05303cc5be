"""What the worker and its model processes say to each other: lengths and JSON, errors included."""

import struct
import traceback
from typing import IO, Any

import orjson

from coordinator import errors
from coordinator.domain.work import TracebackElsewhere
from coordinator.errors import CoordinatorError, ModelError
from coordinator.inference.faults import in_one_line, is_out_of_memory

LONGEST = 1 << 28  # bytes of a message
_LONGEST_TRACE = 20_000  # characters; the end of it says most
_LENGTH = struct.Struct(">I")
_PASSED = (  # errors that keep their kind; whatever else there is counts as the model's
    "BadInput", "ModelError", "SourceUnreachable", "StorageError", "ObjectMissing",
    "StorageUnavailable", "CredentialsError", "KeysRefused", "AccessRefused", "WorkInterrupted",
)  # fmt: skip


class Nonsense(Exception):
    """What came is no message."""


def pack(message: Any) -> bytes:
    """`message` as it goes over the wire.

    Raises:
        ModelError: it is no plain JSON, holds half a character, or is too long.
    """
    try:
        body = orjson.dumps(message)
    except TypeError as error:
        raise _unsayable(str(error)) from error
    if len(body) > LONGEST:
        raise _unsayable(f"{len(body)} bytes are more than {LONGEST}")
    return _LENGTH.pack(len(body)) + body


def receive(stream: IO[bytes]) -> Any:
    """The next message.

    Raises:
        EOFError: there is none: the other side has gone.
        Nonsense: it is too long, or no JSON.
    """
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    if length > LONGEST:
        raise Nonsense(f"a message of {length} bytes")
    try:
        return orjson.loads(_exactly(stream, length))
    except orjson.JSONDecodeError as error:
        raise Nonsense(str(error)) from error


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _unsayable(why: str) -> ModelError:
    hint = "translations must be texts that can be written as UTF-8"
    return ModelError("what the model wrote cannot be passed on", why=why, hint=hint)


def describe(error: BaseException) -> dict[str, str]:
    """An error as plain JSON, with its traceback."""
    said = {"kind": _kind(error), "what": in_one_line(error), "why": "", "hint": ""}
    if isinstance(error, CoordinatorError):
        said |= {"what": error.what, "why": error.why, "hint": error.hint}
    shown = error.__cause__ if isinstance(error, CoordinatorError) else error
    trace = "".join(traceback.format_exception(shown)) if shown else ""
    said["traceback"] = trace[-_LONGEST_TRACE:]
    return {name: _whole(text) for name, text in said.items()}


def revive(said: Any) -> Exception:
    """The error that another process described; its traceback is the cause."""
    said = said if isinstance(said, dict) else {}
    kind, what, why, hint, trace = (
        str(said.get(name, "")) for name in ("kind", "what", "why", "hint", "traceback")
    )
    error = _revived(kind, what, why, hint)
    error.__cause__ = TracebackElsewhere(trace) if trace else None
    return error


def _revived(kind: str, what: str, why: str, hint: str) -> Exception:
    if kind == "MemoryError":
        return MemoryError(what)
    if kind == "TimeoutError":
        return TimeoutError(what)
    made: type[CoordinatorError] = getattr(errors, kind) if kind in _PASSED else ModelError
    return made(what, why=why, hint=hint)


def _kind(error: BaseException) -> str:
    if is_out_of_memory(error):
        return "MemoryError"
    if isinstance(error, TimeoutError):
        return "TimeoutError"
    name = type(error).__name__
    return name if isinstance(error, CoordinatorError) and name in _PASSED else "ModelError"


def _whole(text: str) -> str:
    """Halves of characters, which JSON cannot hold, written out."""
    return text.encode("utf-8", "backslashreplace").decode()
