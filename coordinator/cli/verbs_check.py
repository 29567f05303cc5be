"""Verbs about what a batch needs around it: doctor, credentials."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from coordinator.bootstrap import make_clock
from coordinator.cli.options import NO_COMMON, ClusterName, Common, NomadAddr
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.commands.credentials import HandedIn, hand_in
from coordinator.commands.doctor import examine
from coordinator.domain.findings import Finding, Level
from coordinator.domain.shown import for_terminal
from coordinator.errors import ExitCode


def add_to(app: App) -> None:
    add_verb(app, doctor)
    add_verb(app, credentials)


def doctor(
    *,
    cluster: Annotated[ClusterName | None, Parameter(help="default local")] = None,
    nomad_addr: NomadAddr = None,
    pipeline: Annotated[Path | None, Parameter(help="pipeline file, to be checked too")] = None,
    model: Annotated[str | None, Parameter(help="model folder, to be checked too")] = None,
    output_root: Annotated[
        str | None, Parameter(help="where outputs shall go; default outputs")
    ] = None,
    common: Common = NO_COMMON,
) -> int:
    """Check what a batch leans on, one line each: what was found, and what to change.

    It writes nothing but a probe in the output root, which it removes again.

    Examples:
    coordinator doctor --pipeline inputs/demo/pipeline.yml --model models/mine

    coordinator doctor --json
    """
    settings = common.load(cluster=cluster, nomad_addr=nomad_addr, pipeline=pipeline, model=model)
    found = examine(settings, output_root)
    is_well = all(finding.level is not Level.FAIL for finding in found)
    documents = [vars(finding) for finding in found]
    output = Output(as_json=common.json)
    output.result({"ok": is_well, "findings": documents}, *_finding_lines(found))
    return ExitCode.OK if is_well else ExitCode.SOME_FAILED


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
    output.say("looking for the AWS credentials of this shell")
    found = hand_in(common.load(), batch, make_clock())
    output.result(found.to_json(), *_handed_in_lines(found))
    return ExitCode.OK


def _finding_lines(findings: list[Finding]) -> Iterator[str]:
    width = max(len(finding.about) for finding in findings)
    for finding in findings:
        yield f"{finding.level:<4}  {finding.about:<{width}}  {for_terminal(finding.found)}"
        if finding.change:
            yield f"{'':<4}  {'':<{width}}  try: {for_terminal(finding.change)}"


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
