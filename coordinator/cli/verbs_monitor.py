"""Verbs for whoever watches many batches, or sends one to somebody else: metrics, bundle."""

import signal
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from coordinator.bootstrap import make_clock
from coordinator.cli.options import NO_COMMON, Common
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.cli.words import plural
from coordinator.commands import bundle as bundling
from coordinator.commands import metrics as counting
from coordinator.errors import ExitCode, UsageError


def add_to(app: App) -> None:
    add_verb(app, metrics)
    add_verb(app, bundle)


def metrics(
    *batches: Annotated[str, Parameter(help="only these; default all that are here")],
    out: Annotated[
        Path | None,
        Parameter(help="write to this file, such as node_exporter's textfile/coordinator.prom"),
    ] = None,
    serve: Annotated[
        str | None,
        Parameter(help="answer over HTTP until Ctrl-C: PORT, for this machine alone, ADDRESS:PORT"),
    ] = None,
    common: Common = NO_COMMON,
) -> int:
    """Counts of batches for Prometheus: items, failures, attempts, dispatches, pauses.

    From the ledgers on this machine; nothing is changed.

    Examples:
    coordinator metrics my-batch

    coordinator metrics --out coordinator.prom

    coordinator metrics --serve 9101
    """
    output, settings = Output(as_json=common.json), common.load()
    address = counting.address_in(serve) if serve is not None else None
    registry = counting.registry_of(settings, batches, make_clock())
    if out is not None:
        counting.write_text(registry, out)
    if address is not None:
        with counting.served(registry, *address) as url:
            output.result({"metrics": {"url": url}}, f"metrics  {url}   (Ctrl-C ends it)")
            return _until_interrupted(output)
    samples = counting.samples_in(registry)
    said = f"{plural(len(samples), 'number')} -> {out}" if out else counting.as_text(registry)
    output.result({"metrics": samples, "file": out and str(out)}, said.rstrip("\n"))
    return ExitCode.OK


def _until_interrupted(output: Output) -> int:
    try:
        signal.pause()
    except KeyboardInterrupt:
        output.say("metrics are served no more; batches are as they were")
    return ExitCode.INTERRUPTED


def bundle(
    batch: Annotated[str, Parameter(help="the batch")],
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="file to write; default <batch>-bundle.tar.gz")
    ] = None,
    yes: Annotated[bool, Parameter(help="do not ask before it is written", negative="")] = False,
    common: Common = NO_COMMON,
) -> int:
    """Put what somebody else needs to see of a batch into one file, without secrets.

    Its contents are listed before it is written. No text, translation or log of a job is in it.

    Examples:
    coordinator bundle my-batch --yes

    coordinator bundle my-batch --out for-the-admin.tar.gz --yes
    """
    output = Output(as_json=common.json)
    path = out or Path(f"{batch}-bundle.tar.gz")
    output.say(f"gathering what there is of {batch}")
    made = bundling.bundle(common.load(), batch, make_clock())
    contents = {name: len(data) for name, data in made.files.items()}
    for name, size in contents.items():
        output.say(f"  {name:<16} {size:>12,} bytes")
    if not yes and not _is_wanted(output, path):
        output.result({"bundle": {"file": None, "contents": contents}}, "nothing was written")
        return ExitCode.OK
    size = bundling.write_bundle(made, path)
    document = {"file": str(path), "bytes": size, "contents": contents}
    output.result({"bundle": document}, f"{path}  {size:,} bytes; look into it before you send it")
    return ExitCode.OK


def _is_wanted(output: Output, path: Path) -> bool:
    """Ask whoever sits there. Raises UsageError where nobody does."""
    if output.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{path} was not written", why="nobody is there to be asked", hint="add --yes"
        )
    output.err.print(f"write {path}? [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
