"""How a function becomes a verb: its help opens with its examples."""

import inspect
from collections.abc import Callable

from cyclopts import App, Group


def add_verb(app: App, function: Callable[..., int], group: Group | None = None) -> None:
    """Add `function` as a verb; what follows `Examples:` in its docstring is shown first.

    A trailing underscore is no part of its name. The tests run every example: see `examples_of`.
    """
    text = inspect.cleandoc(function.__doc__ or "")
    examples = "".join(f"  {example}\n" for example in examples_of(function))
    app.command(
        function,
        name=function.__name__.rstrip("_").replace("_", "-"),
        help=text.partition("\nExamples:\n")[0].strip(),
        help_prologue=f"Examples:\n{examples}",
        group=group,
    )


def examples_of(function: Callable[..., int]) -> list[str]:
    """The command lines after `Examples:` in a docstring, one a paragraph."""
    text = inspect.cleandoc(function.__doc__ or "").partition("\nExamples:\n")[2]
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip()]
