"""Verbs that say why: explain, why."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.table import Table
from rich.text import Text

from coordinator.cli.options import NO_COMMON, Common
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.domain.shown import for_terminal as safe
from coordinator.domain.states import FailureKind
from coordinator.errors import ExitCode
from coordinator.reports.kinds import KindPage, may_be_set, page_of

if TYPE_CHECKING:
    from coordinator.commands.reasons import Reason
    from coordinator.commands.why import Why

_WIDEST = max(map(len, FailureKind))


def add_to(app: App) -> None:
    add_verb(app, explain)
    add_verb(app, why)


def explain(
    kind: Annotated[FailureKind | None, Parameter(help="a kind of failure; default all")] = None,
    /,
    *,
    common: Common = NO_COMMON,
) -> int:
    """What a kind of failure means, what is done about it, and what to do.

    Examples:
    coordinator explain

    coordinator explain out_of_memory
    """
    output = Output(as_json=common.json)
    if kind is None:
        documents = [_document(each, page_of(each)) for each in FailureKind]
        lines = [f"{each:<{_WIDEST}}  {each.sentence}" for each in FailureKind]
        output.result({"kinds": documents}, *lines, "more of each: coordinator explain KIND")
        return ExitCode.OK
    page = page_of(kind)
    output.result({"kind": _document(kind, page)}, *_page_lines(kind, page))
    return ExitCode.OK


def why(
    batch: Annotated[str, Parameter(help="the batch")],
    item: Annotated[str, Parameter(help="the item")],
    /,
    *,
    common: Common = NO_COMMON,
) -> int:
    """Why an item does not run yet, or what became of it; and what would change that.

    The first line is the answer; what else holds comes after it. It is read from the ledger; only
    about a job that is out, Nomad is asked too.

    Examples:
    coordinator why my-batch fra-spa

    coordinator why my-batch eng-fra --json
    """
    from coordinator.bootstrap import make_clock
    from coordinator.commands.why import why as ask_why

    found = ask_why(common.load(), batch, item, make_clock())
    output = Output(as_json=common.json)
    output.result({"why": found.to_json()}, _standing(found), reasons_table(found.reasons))
    return ExitCode.OK


def _standing(found: "Why") -> str:
    step = f", step {found.step} ({found.number} of {found.steps})" if found.step else ""
    attempt = f", attempt {found.attempt}" if found.attempt else ""
    state = found.state.replace("_", " ")
    return f"{found.item} of {found.batch}: {state}{step}{attempt}"


def reasons_table(reasons: "tuple[Reason, ...]") -> Table:
    table = _two_columns()
    for number, reason in enumerate(reasons):
        style = "" if number else "bold"
        table.add_row(Text("  also" if number else "  why"), Text(safe(reason.what), style))
        if reason.change:
            table.add_row(Text("  try"), Text(safe(reason.change)))
    return table


def _two_columns() -> Table:
    """Long words, such as paths, go on in the next line: what is cut off cannot be copied."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(overflow="fold")
    return table


def _document(kind: FailureKind, page: KindPage) -> dict[str, object]:
    return {"kind": str(kind), "sentence": kind.sentence, **page.to_json()}


def _page_lines(kind: FailureKind, page: KindPage) -> Iterator[str | Table]:
    yield f"{kind}: {kind.sentence}"
    table = _two_columns()
    rows = [("meaning", page.meaning), ("told by", page.detected), ("retried", page.retried)]
    if may_be_set(kind):
        rows.append(("", "(unless `retry` in the pipeline file says otherwise)"))
    rows += [("" if number else "to do", advice) for number, advice in enumerate(page.to_do)]
    for name, words in rows:
        table.add_row(Text(f"  {name}"), Text(_plain(words)))
    yield table


def _plain(text: str) -> str:
    """A terminal shows commands as they are typed."""
    return text.replace("`", "")
