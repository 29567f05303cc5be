"""The verb that shows sentences: show."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from cyclopts import App, Parameter, validators
from rich.table import Table
from rich.text import Text

from coordinator.bootstrap import make_clock
from coordinator.cli.options import NO_COMMON, Common
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.cli.words import plural
from coordinator.commands.sentences import Sentence, Shown, Wanted, sentences
from coordinator.domain.shown import for_terminal as safe
from coordinator.errors import ExitCode

_TEXTS = ("source", "reference", "translation")


def add_to(app: App) -> None:
    add_verb(app, show)


def show(
    batch: Annotated[str, Parameter(help="the batch")],
    item: Annotated[str, Parameter(help="the item")],
    /,
    *,
    count: Annotated[
        int,
        Parameter(
            name=("-n", "--count"),
            help="so many sentences; default 5",
            validator=validators.Number(gte=0),
        ),
    ] = 5,
    lowest: Annotated[
        bool, Parameter(help="those with the worst scores, the worst first", negative="")
    ] = False,
    sentence: Annotated[
        int | None, Parameter(help="this one alone", validator=validators.Number(gte=1))
    ] = None,
    metric: Annotated[
        str, Parameter(help="whose scores; default chrf++ if the batch has it, else another")
    ] = "",
    common: Common = NO_COMMON,
) -> int:
    """Sentences of an item: source, reference, translation, score, and what is suspicious.

    Examples:
    coordinator show my-batch eng-fra

    coordinator show my-batch eng-fra --lowest -n 3

    coordinator show my-batch fra-spa --sentence 2 --json
    """
    output = Output(as_json=common.json)
    wanted = Wanted(count, lowest, sentence, metric)
    found = sentences(common.load(), batch, item, make_clock(), wanted)
    output.result({"show": found.to_json()}, _heading(found), *_lines(found))
    return ExitCode.OK


def _heading(found: Shown) -> Text:
    languages = " -> ".join(filter(None, found.languages))
    scores = "  ".join(f"{safe(name)} {score:.2f}" for name, score in found.scores.items())
    parts = [
        f"{safe(found.batch)} {safe(found.item)}",
        safe(languages),
        plural(found.total, "sentence"),
        scores,
        f"{found.suspicious:,} suspicious" if found.suspicious else "",
    ]
    return Text("  ".join(filter(None, parts)), "bold")


def _lines(found: Shown) -> Iterator[Text | Table]:
    for why in found.missing:
        yield Text(f"! {safe(why)}", "yellow")
    there = [n for n in _TEXTS if any(getattr(s, n) is not None for s in found.sentences)]
    for sentence in found.sentences:
        yield Text()
        yield _sentence_head(sentence, found.metric)
        yield _texts_table(sentence, there)


def _sentence_head(sentence: Sentence, metric: str) -> Text:
    line = Text(f"{sentence.number:,}", "bold")
    if sentence.score is not None:
        line.append(f"  {safe(metric)} {sentence.score:.2f}", "not bold")
    if sentence.suspicious:
        line.append(f"  ! suspicious: {'; '.join(sentence.suspicious)}", "yellow")
    return line


def _texts_table(sentence: Sentence, names: Sequence[str]) -> Table:
    """Each text behind its name, so that a line begins left to right whatever its script."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name in names:
        text: str | None = getattr(sentence, name)
        shown = Text("none", "dim italic") if text is None else Text(safe(text))
        table.add_row(Text(f"  {name}", "dim"), shown)
    return table
