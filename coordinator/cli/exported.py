"""`report --format`: rows of items to standard output or a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from coordinator.cli.output import Output
from coordinator.commands.exporting import Wish, outcome_of, text_of, write_to
from coordinator.domain.shown import for_terminal
from coordinator.errors import ExitCode, UsageError
from coordinator.reports.items import Items
from coordinator.reports.summary import Summary

_FOR_PROGRAMS = Group("For programs", sort_key=3)


@Parameter(name="*", group=_FOR_PROGRAMS)
@dataclass(frozen=True)
class Export:
    """Rows in place of a report."""

    format: Annotated[
        Literal["csv", "ndjson", "json", "parquet", "junit"] | None,
        Parameter(help="write one row an item in this format, and no report"),
    ] = None
    fields: Annotated[
        str | None, Parameter(help="which fields, with commas; default all that the format holds")
    ] = None
    filter: Annotated[
        list[str] | None,
        Parameter(
            help="only items with FIELD=VALUE, FIELD!=VALUE, FIELD<NUMBER, FIELD>NUMBER; several"
            " times: all must hold",
            negative="",
        ),
    ] = None
    out: Annotated[Path | None, Parameter(help="write the rows to this file")] = None
    exit_code: Annotated[
        bool,
        Parameter(
            name=("--exit_code", "--exit-code"),
            help="end with the batch's outcome: 0 all succeeded, 1 some failed, 3 not finished",
            negative="",
        ),
    ] = False

    def wish(self) -> Wish | None:
        """What rows are asked for; None = a report.

        Raises:
            UsageError: something is said of rows, and no format.
        """
        if self.format is None:
            if self.fields or self.filter or self.out:
                raise UsageError(
                    "--fields, --filter and --out are about rows",
                    why="there is no --format",
                    hint="add --format csv, ndjson, json, parquet or junit",
                )
            return None
        names = [name.strip() for name in (self.fields or "").split(",")]
        return Wish(self.format, tuple(filter(None, names)), tuple(self.filter or ()))

    def code(self, summary: Summary) -> ExitCode:
        """The outcome of the whole batch, where it was asked for."""
        return outcome_of(summary) if self.exit_code else ExitCode.OK


NO_EXPORT = Export()


def export(output: Output, items: Items, wish: Wish, out: Path | None) -> None:
    """Write the rows to the file, or to standard output as they are made."""
    if out is not None:
        write_to(out, items, wish)
        document = {"batch": items.batch, "format": wish.format, "out": str(out)}
        output.result({"rows": document}, f"{wish.format} written to {for_terminal(str(out))}")
        return
    if output.as_json:
        raise UsageError(
            "--json and --format ask for two documents", hint="leave --json out, or add --out FILE"
        )
    for piece in text_of(items, wish):
        output.text(piece)
