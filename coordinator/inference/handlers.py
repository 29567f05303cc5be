"""A user's own model: the class `Handler` of the folder's `handler.py`, as a backend.

It has `translate`, which gets the sentences of one item, or `translate_batch`, which gets batches
of sentences of any items. All that it returns is checked.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from coordinator.domain.model_folder import GUIDE, HANDLER, HANDLER_CLASS
from coordinator.errors import ModelError
from coordinator.inference.backend import Backend, Output, Row
from coordinator.inference.estimate import likely_tokens
from coordinator.inference.faults import line_shown, prefixed
from coordinator.inference.user_code import run_file, user_code

LONGEST_TRANSLATION = 1_000_000  # characters
MOST_TOKENS = 1_000_000  # of one sentence


class Calls:
    """Calls a handler's methods and checks what they return."""

    def __init__(self, handler: Any, path: Path) -> None:
        self.handler, self._path = handler, path

    def has(self, method: str) -> bool:
        return callable(getattr(self.handler, method, None))

    def texts(self, method: str, sentences: list[str], *languages: Any) -> list[str]:
        """What a method that translates returns: as many texts as sentences."""
        found = self._called(method, list(sentences), *languages)
        return self._checked(method, found, len(sentences), "translation", _text_fault)

    def counts(self, method: str, sentences: list[str]) -> list[int]:
        """What a method that counts tokens returns: as many numbers as sentences."""
        found = self._called(method, list(sentences))
        return self._checked(method, found, len(sentences), "token count", _count_fault)

    def _called(self, method: str, *arguments: Any) -> Any:
        """The lists are copies: a handler that changes its own does not change ours."""
        with user_code(self._path, method):
            return getattr(self.handler, method)(*arguments)

    def _checked(
        self, method: str, found: Any, expected: int, each: str, fault_of: Callable[[Any], str]
    ) -> list[Any]:
        if not isinstance(found, list | tuple):
            raise self._wrong(f"{method} returned {_type(found)}, not a list")
        if len(found) != expected:
            raise self._wrong(f"expected {expected} {each}s, got {len(found)}")
        for number, value in enumerate(found, 1):
            if fault := fault_of(value):
                raise self._wrong(f"{each} {number} {fault}")
        return list(found)

    def _wrong(self, why: str) -> ModelError:
        hint = f"return one for each sentence, in order; see {GUIDE}"
        return ModelError(f"{self._path} broke the handler's contract", why=why, hint=hint)


class ItemHandler:
    """A handler with `translate`: all sentences of one item in one call."""

    mixes_directions = False
    whole_items = True

    def __init__(self, calls: Calls, device: str) -> None:
        self._calls, self.device = calls, device

    def encode(self, texts: Sequence[str], source: str, target: str) -> list[Row]:
        """Rows of likely lengths: nobody asks such a handler for its tokens."""
        return [Row(likely_tokens(text), _data(text, source, target)) for text in texts]

    def translate(self, rows: Sequence[Row]) -> list[Output]:
        """Raises as `Backend.translate` says."""
        if not rows:
            return []
        texts, (source, *_), (target, *_) = _columns(rows)
        translate = partial(self._calls.texts, "translate")
        try:
            return _outputs(translate(texts, source, target))
        except (ModelError, MemoryError) as error:
            if isinstance(error, ModelError) and error.__cause__ is None:
                raise  # it is about what it returned, and names it
            failed = error
        found = _at_its_line(failed, texts, lambda part: translate(part, source, target))
        raise found from found.__cause__

    def decode(self, outputs: Sequence[Output]) -> list[str]:
        return [output.data for output in outputs]


def _at_its_line(
    error: Exception, texts: Sequence[str], translate: Callable[[list[str]], object]
) -> Exception:
    """What `texts` failed with, at the line that fails in the same way by itself, if there is one.

    Found by halving, which takes about as long as the whole would have: to mend it, one has to know
    which of a thousand lines it is.
    """

    def failure(part: slice) -> Exception | None:
        try:
            translate(list(texts[part]))
        except (ModelError, MemoryError) as found:
            return found if _way(found) == _way(error) else None
        return None

    first, last = 0, len(texts)
    while last - first > 1:
        middle = (first + last) // 2
        first, last = (first, middle) if failure(slice(first, middle)) else (middle, last)
    found = failure(slice(first, last)) if len(texts) > 1 else error
    return prefixed(found, line_shown(first + 1, texts[first])) if found else error


def _way(error: Exception) -> tuple[object, ...]:
    """A part is another question than the whole, and may fail for reasons of its own."""
    place = error.what if isinstance(error, ModelError) else ""
    return place, type(error), type(error.__cause__)


class BatchHandler:
    """A handler with `translate_batch`: sentences of any items, as many as fit a token budget."""

    whole_items = False

    def __init__(self, calls: Calls, device: str) -> None:
        self._calls, self.device = calls, device
        self._counts = calls.has("count_tokens")
        self.mixes_directions = getattr(calls.handler, "mixes_directions", True) is not False

    def encode(self, texts: Sequence[str], source: str, target: str) -> list[Row]:
        """Rows as long as the handler says, where it does. Raises as `Backend.encode` says."""
        counts = self._counted(list(texts))
        pairs = zip(counts, texts, strict=True)
        return [Row(tokens, _data(text, source, target)) for tokens, text in pairs]

    def _counted(self, texts: list[str]) -> Iterable[int]:
        if self._counts:
            return self._calls.counts("count_tokens", texts)
        return map(likely_tokens, texts)

    def translate(self, rows: Sequence[Row]) -> list[Output]:
        """Raises as `Backend.translate` says."""
        return _outputs(self._calls.texts("translate_batch", *_columns(rows)))

    def decode(self, outputs: Sequence[Output]) -> list[str]:
        return [output.data for output in outputs]


def load_handler(folder: Path, device: str | None) -> Backend:
    """Run `handler.py`, make its `Handler` and let it load.

    Raises:
        ModelError: it has no such class, or its own code failed (the cause).
        MemoryError: memory ran out, the GPU's included.
    """
    path, chosen = folder.resolve() / HANDLER, device or _likely_device()
    with user_code(path, "import"):
        kind = getattr(run_file(path), HANDLER_CLASS, None)
    if lack := _lack_of(kind):
        raise ModelError(f"{path} cannot be used", why=lack, hint=f"see {GUIDE}")
    with user_code(path, "load"):
        handler = kind()  # type: ignore[misc]  # `_lack_of` has seen that it is a class
        handler.load(path.parent, chosen)
    calls = Calls(handler, path)
    return (
        BatchHandler(calls, chosen) if calls.has("translate_batch") else ItemHandler(calls, chosen)
    )


def _lack_of(kind: Any) -> str:
    """What a class lacks to be a handler; "" = nothing."""
    if not isinstance(kind, type):
        return f"it has no class {HANDLER_CLASS}"
    if not callable(getattr(kind, "load", None)):
        return f"no load in {HANDLER_CLASS}"
    if any(callable(getattr(kind, name, None)) for name in ("translate", "translate_batch")):
        return ""
    return f"no translate in {HANDLER_CLASS}, and no translate_batch"


def _likely_device() -> str:
    """Whether a GPU is there, without torch, which a handler may not use."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return "cuda" if Path("/dev/nvidiactl").exists() and not hidden else "cpu"


def _data(text: str, source: str, target: str) -> Mapping[str, str]:
    return {"text": text, "source": source, "target": target}


def _columns(rows: Sequence[Row]) -> tuple[list[str], list[str], list[str]]:
    """Texts, source languages and target languages."""
    texts, sources, targets = (
        [row.data[name] for row in rows] for name in ("text", "source", "target")
    )
    return texts, sources, targets


def _outputs(texts: list[str]) -> list[Output]:
    return [Output(None, text) for text in texts]


def _text_fault(value: Any) -> str:
    if not isinstance(value, str):
        return f"is {_type(value)}, not str"
    if len(value) > LONGEST_TRANSLATION:
        return f"is longer than {LONGEST_TRANSLATION:,} characters"
    if not value.isascii() and value.encode("utf-8", "ignore").decode() != value:
        return "holds half a character (a lone surrogate)"
    return ""


def _count_fault(value: Any) -> str:
    if type(value) is not int:
        return f"is {_type(value)}, not int"
    if not 1 <= value <= MOST_TOKENS:
        return f"is not between 1 and {MOST_TOKENS:,}"
    return ""


def _type(value: Any) -> str:
    return f"a value of type {type(value).__name__}"
