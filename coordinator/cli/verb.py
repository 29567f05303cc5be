"""How a function becomes a verb: its help opens with its examples."""

import inspect
from collections.abc import Callable
from typing import Annotated

from cyclopts import App, Parameter

from coordinator.cli.contents import verb_name

_BATCHES, _LANGUAGES = {"batch", "a"}, {"source_language", "target_language"}
_OFFERED = {*_BATCHES, *_LANGUAGES, "b", "batch_name", "item", "items"}


def add_verb(app: App, function: Callable[..., int]) -> None:
    """Add `function` as a verb; what follows `Examples:` in its docstring is shown first.

    The tests run every example: see `examples_of`.
    """
    _have_offered(function)
    text = inspect.cleandoc(function.__doc__ or "")
    examples = "".join(f"  {example}\n" for example in examples_of(function))
    app.command(
        function,
        name=verb_name(function.__name__),
        help=_unwrapped(text.partition("\nExamples:\n")[0]),
        help_prologue=f"Examples:\n{examples}",
    )


def _unwrapped(text: str) -> str:
    """The paragraphs, a line each: the terminal may be narrower or wider than the docstring."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))


def _have_offered(function: Callable[..., int]) -> None:
    """Let shells ask for the names of batches, items and languages, by what arguments are called.

    What is asked so is answered before anything of this is imported: see `complete`.
    """
    types = function.__annotations__
    names = _OFFERED if types.keys() & _BATCHES else _LANGUAGES
    for name in types.keys() & names:
        types[name] = Annotated[types[name], Parameter(completer=lambda _context: ())]


def examples_of(function: Callable[..., int]) -> list[str]:
    """The command lines after `Examples:` in a docstring, one a paragraph."""
    text = inspect.cleandoc(function.__doc__ or "").partition("\nExamples:\n")[2]
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip()]
