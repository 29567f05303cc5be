"""Each distinct error, with what it means and what to do."""

from dataclasses import dataclass

from coordinator.reports.groups import ErrorGroup
from coordinator.reports.html.inputs import Inputs
from coordinator.reports.html.links import Links
from coordinator.reports.html.verdict import moment
from coordinator.reports.kinds import KindPage, must_be_mended, page_of

_MOST = 100


@dataclass(frozen=True)
class Failure:
    """One distinct error.

    Attributes:
        command: what runs the items of its kind again.
        must_be_mended: whether that alone comes to the same.
        href: the way to its example; "" = none.
        first, last: when it was seen; "" = nobody knows.
    """

    group: ErrorGroup
    page: KindPage
    command: str
    must_be_mended: bool
    href: str
    first: str
    last: str


@dataclass(frozen=True)
class Failures:
    """The most frequent errors, and how many more there are."""

    shown: tuple[Failure, ...]
    left_out: int


def failures_of(inputs: Inputs, links: Links | None) -> Failures:
    """In the order of the report: the most frequent first."""
    groups = inputs.summary.groups
    commands = inputs.summary.commands
    shown = [_failure(group, commands[group.kind], links) for group in groups[:_MOST]]
    return Failures(tuple(shown), max(0, len(groups) - _MOST))


def _failure(group: ErrorGroup, command: str, links: Links | None) -> Failure:
    return Failure(
        group,
        page_of(group.kind),
        command,
        must_be_mended(group.kind),
        links.to(group.file) if links else "",
        moment(group.first) if group.first else "",
        moment(group.last) if group.last else "",
    )
