"""Verbs that are about Nomad alone: register-jobs."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from coordinator.cli.options import NO_COMMON, Common, NomadAddr, one_name
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.commands.registering import Registered
from coordinator.commands.registering import register_jobs as registering
from coordinator.errors import ExitCode


def add_to(app: App) -> None:
    add_verb(app, register_jobs)


def register_jobs(
    batch: Annotated[str | None, Parameter(help="the batch")] = None,
    /,
    *,
    batch_name: Annotated[str | None, Parameter(help="the same as BATCH")] = None,
    pipeline: Annotated[Path | None, Parameter(help="pipeline file (YAML)")] = None,
    nomad_addr: NomadAddr = None,
    job_vars: Annotated[
        Path | None, Parameter(help="variables of the job files, as `name = value` lines")
    ] = None,
    output_root: Annotated[str | None, Parameter(help="where the jobs will write to")] = None,
    dry_run: Annotated[
        bool, Parameter(name="--dry-run", help="check everything, register nothing", negative="")
    ] = False,
    common: Common = NO_COMMON,
) -> int:
    """Register the parameterized jobs of a batch on Nomad; nothing is dispatched.

    Submit does this by itself.

    Examples:
    coordinator register-jobs my-batch --pipeline inputs/pipelines/translate-and-score.yml
        --job_vars job_defs/local.vars --dry-run
    """
    output = Output(as_json=common.json)
    settings = common.load(pipeline=pipeline, nomad_addr=nomad_addr, job_vars=job_vars)
    done = registering(settings, one_name(batch, batch_name), output_root, dry_run=dry_run)
    output.result({"registered": done.to_json()}, *_lines(done, dry_run=dry_run))
    return ExitCode.OK


def _lines(done: Registered, *, dry_run: bool) -> list[str]:
    said = [_line(job, dry_run=dry_run) for job in done.to_json()["jobs"]]
    return [*said, "dry run: nothing was registered"] if dry_run else said


def _line(job: dict[str, object], *, dry_run: bool) -> str:
    state = "good" if dry_run else "registered" if job["changed"] else "as it was"
    return f"{job['id']}  {job['memory_mb']} MB  {state}  from {job['job_file']}"
