"""Verbs about what a batch needs around it: credentials."""

from datetime import datetime
from typing import Annotated

from cyclopts import App, Group, Parameter

from coordinator.bootstrap import make_clock
from coordinator.cli.options import NO_COMMON, Common
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.commands.credentials import HandedIn, hand_in
from coordinator.domain.shown import for_terminal
from coordinator.errors import ExitCode

_SURROUNDINGS = Group("Surroundings", sort_key=6)


def add_to(app: App) -> None:
    add_verb(app, credentials, _SURROUNDINGS)


def credentials(
    batch: Annotated[str, Parameter(help="the batch")],
    /,
    *,
    common: Common = NO_COMMON,
) -> int:
    """Hand the AWS credentials of this shell in to a batch, in place of those that end.

    Examples:
    coordinator credentials my-batch
    """
    output = Output(as_json=common.json)
    found = hand_in(common.load(), batch, make_clock())
    output.result(found.to_json(), *_handed_in_lines(found))
    return ExitCode.OK


def _handed_in_lines(found: HandedIn) -> list[str]:
    keys = found.keys
    role = f", {for_terminal(keys.role)}" if keys.role else ""
    until = ""
    if keys.expires is not None:
        until = f", good until {datetime.fromtimestamp(keys.expires):%Y-%m-%d %H:%M}"
    first = f"{found.batch}  credentials from {for_terminal(keys.origin)}{role}{until}"
    if found.driven_by:
        return [first, f"  {for_terminal(found.driven_by)} takes them over within seconds"]
    return [first, "  nobody drives it; its next start uses them where its own are refused"]
