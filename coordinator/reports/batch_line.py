"""A worker's line about one batch of sentences, in words."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def batch_in_words(fields: Mapping[str, Any]) -> str:
    """`2 items  64 sentences  1,204 tokens read, 1,310 written  0.52 s  2,519 tokens/s  ...`.

    What the line does not hold, or not as a number, is left out.
    """
    return "  ".join(("batch", *_parts(fields)))


def _parts(fields: Mapping[str, Any]) -> Iterator[str]:
    items = fields.get("items")
    count = len(items) if isinstance(items, list) else _number(fields, "items")
    seconds, sentences = _number(fields, "seconds"), _number(fields, "sentences")
    if count is not None:
        yield _counted(count, "item")
    if sentences is not None:
        yield _counted(sentences, "sentence")
    yield from _tokens(fields)
    if seconds is not None:
        yield f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:,.0f} s"
        yield from _rate(fields, seconds)
    if (padding := _number(fields, "padding")) is not None:
        yield f"padding {padding:.0%}"
    if truncated := _number(fields, "truncated"):
        yield f"{truncated:,.0f} cut off"
    if peak := _number(fields, "peak_memory"):
        yield f"peak {_bytes(peak)}"
    if device := str(fields.get("device") or ""):
        yield f"on {device}"


def _tokens(fields: Mapping[str, Any]) -> Iterator[str]:
    read, written = _number(fields, "source_tokens"), _number(fields, "target_tokens")
    told = [f"{read:,.0f} tokens read"] if read is not None else []
    if written is not None:
        told.append(f"{written:,.0f} written" if told else f"{written:,.0f} tokens written")
    if told:
        yield ", ".join(told)


def _rate(fields: Mapping[str, Any], seconds: float) -> Iterator[str]:
    """By what the model wrote: that takes the time."""
    written, read = _number(fields, "target_tokens"), _number(fields, "source_tokens")
    tokens = written if written is not None else read
    if tokens is not None and seconds > 0:
        yield f"{tokens / seconds:,.0f} tokens/s"


def _counted(number: float, noun: str) -> str:
    return f"{number:,.0f} {noun}" if number == 1 else f"{number:,.0f} {noun}s"


def _bytes(number: float) -> str:
    for size, unit in _UNITS:
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} bytes"


def _number(fields: Mapping[str, Any], name: str) -> float | None:
    """A number of the line, which the model may have written itself."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e18 and math.isfinite(value) else None
