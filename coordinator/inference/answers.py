"""What a model process answers, checked: a model's code ran there, and may have done anything."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coordinator.errors import ModelError
from coordinator.inference.backend import Output, Row
from coordinator.inference.wire import revive
from coordinator.inference.work import Lane, Work


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    Attributes:
        results: one for each sentence: rows, outputs or texts.
        peak_memory: bytes; None where it was not told.
    """

    results: list[Any]
    seconds: float
    peak_memory: int | None


def answer_to(work: Work, message: dict[str, Any]) -> Answer:
    """What the message holds.

    Raises:
        Exception: what the process says went wrong.
        ModelError: it is no answer to this work.
    """
    if "error" in message:
        raise revive(message["error"])
    found, seconds, peak = message.get("ok"), message.get("seconds"), message.get("peak_memory")
    if not isinstance(found, list) or len(found) != len(work.units):
        raise _wrong(work.lane, f"{len(work.units)} results were expected")
    if not isinstance(seconds, float | int):
        raise _wrong(work.lane, "it does not say how long it took")
    try:
        results = [_READERS[work.lane](each) for each in found]
    except (TypeError, ValueError) as error:
        raise _wrong(work.lane, str(error)) from error
    return Answer(results, float(seconds), peak if isinstance(peak, int) else None)


def _row(said: Any) -> Row:
    tokens, data, truncated = said
    if not isinstance(tokens, int) or not isinstance(data, dict):
        raise TypeError("a row is its tokens and a JSON object")
    return Row(max(tokens, 1), data, bool(truncated))


def _output(said: Any) -> Output:
    tokens, data, truncated = said
    if not isinstance(tokens, int | None):
        raise TypeError("an output is its tokens and JSON")
    return Output(tokens, data, bool(truncated))


def _text(said: Any) -> str:
    if not isinstance(said, str):
        raise TypeError("a translation is no text")
    return said


_READERS: dict[Lane, Callable[[Any], Any]] = {
    "encode": _row,
    "translate": _output,
    "decode": _text,
}


def _wrong(lane: Lane, why: str) -> ModelError:
    return ModelError(f"the model's {lane} gave what cannot be used", why=why)
