"""Where output goes: results to standard output, progress and errors to standard error."""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from coordinator.domain.shown import for_terminal
from coordinator.errors import CoordinatorError, Problem, StorageError
from coordinator.files import write_whole

SCHEMA = 1
_SHOWN_PROBLEMS = 20
_FULL_WIDTH = 10_000


class _Console(Console):
    """A console whose reader may go away: what is being done is more than what is said of it."""

    def on_broken_pipe(self) -> None:
        """Say nothing more; rich would end the program here."""
        self.quiet = True
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


def console(stream: IO[str]) -> Console:
    """A console that takes data as it is: no markup, no emoji codes, no highlighting.

    A file or another program gets tables at their full width.
    """
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return _Console(
        file=stream,
        width=None if stream.isatty() or "COLUMNS" in os.environ else _FULL_WIDTH,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
        color_system=None if plain else "auto",
    )


class ResultLost(StorageError):
    """Standard output takes no more, such as on a full disk."""


class Output:
    """What a verb says. With `as_json`, standard output carries one JSON object and no more."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out, self.err = console(sys.stdout), console(sys.stderr)

    def result(self, document: dict[str, Any], *lines: Any) -> None:
        """The result: the document for a program, the lines for a person.

        Raises:
            ResultLost: standard output takes no more.
        """
        try:
            self._result(document, *lines)
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> ResultLost:
        self.out.on_broken_pipe()
        return ResultLost(
            "the result cannot be written to standard output",
            why=error.strerror or str(error),
            hint="all else was done; coordinator status shows where a batch stands",
        )

    def _result(self, document: dict[str, Any], *lines: Any) -> None:
        if self.as_json:
            self._write(json.dumps({"schema": SCHEMA, **document}, default=str) + "\n")
            return
        for line in lines:
            if isinstance(line, str):
                self.out.print(_safe_lines(line))
            else:
                self._show(line)

    def _show(self, table: Any) -> None:
        """A table; a file or another program gets it without the blanks that fill its cells."""
        if self.out.is_terminal:
            self.out.print(table)
            return
        with self.out.capture() as shown:
            self.out.print(table)
        self._write("\n".join(line.rstrip(" ") for line in shown.get().split("\n")))

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            self.out.on_broken_pipe()

    def text(self, text: str) -> None:
        """A document as it is, in place of a result: whoever made it made it safe to show.

        Raises:
            ResultLost: standard output takes no more.
        """
        try:
            self._write(text)
        except OSError as error:
            raise self._lost(error) from error

    def say(self, line: str) -> None:
        """A line about what is going on. A terminal that was closed stops nothing."""
        if not self.as_json:
            with suppress(OSError):
                self.err.print(Text(for_terminal(line)))

    def error(self, error: CoordinatorError) -> None:
        """What is wrong, why, and what to do."""
        if self.as_json and not isinstance(error, ResultLost):
            with suppress(ResultLost):
                self.result({"error": _error_document(error)})
                return
        self.err.print(Text.assemble(("error: ", "bold red"), for_terminal(error.what)))
        if error.why:
            self.err.print(Text(f"  why   {for_terminal(error.why)}"))
        said_already = [str(problem) for problem in error.problems] == [error.why]
        for problem in () if said_already else error.problems[:_SHOWN_PROBLEMS]:
            self.err.print(Text(f"  -     {for_terminal(str(problem))}"))
        if (more := len(error.problems) - _SHOWN_PROBLEMS) > 0:
            self.err.print(Text(f"  ...   and {more:,} more; --json lists them all"))
        if error.hint:
            self.err.print(Text(f"  try   {for_terminal(error.hint)}"))


def _safe_lines(text: str) -> Text:
    """Whatever a caller forgot to make safe; what is safe already stays as it is."""
    return Text("\n".join(map(for_terminal, text.split("\n"))))


def write_file(path: Path, text: str) -> None:
    """Write a list for the user: there whole or as it was. Raises OSError."""
    if path.exists() and not path.is_file():  # such as /dev/stdout
        path.write_text(text, encoding="utf-8")
        return
    write_whole(path, text.encode())


def _error_document(error: CoordinatorError) -> dict[str, Any]:
    return {
        "kind": error.kind,
        "message": error.what,
        "why": error.why,
        "hint": error.hint,
        "exit_code": int(error.exit_code),
        "problems": [_problem_document(problem) for problem in error.problems],
    }


def _problem_document(problem: Problem) -> dict[str, str]:
    return {
        "where": problem.where,
        "field": problem.field,
        "reason": problem.reason,
        "fix": problem.fix,
    }
