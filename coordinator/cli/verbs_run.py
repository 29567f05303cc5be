"""The verb that runs batches: submit."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import App, Group, Parameter, validators

from coordinator.bootstrap import make_clock
from coordinator.cli.live import Checking
from coordinator.cli.options import (
    NO_COMMON,
    NO_INFERENCE,
    NO_TUNING,
    ClusterName,
    Common,
    Inference,
    NomadAddr,
    Tuning,
    one_name,
)
from coordinator.cli.output import Output
from coordinator.cli.running import drive_shown
from coordinator.cli.show import plan_lines
from coordinator.cli.verb import add_verb
from coordinator.cli.verbs_tensorboard import Port, tensorboard_beside
from coordinator.commands import submit as submitting
from coordinator.commands.board import PORT
from coordinator.commands.planning import SubmitRequest, plan_submit
from coordinator.domain.limits import sentences_from
from coordinator.domain.shown import for_terminal
from coordinator.errors import ExitCode, UsageError

_WHAT = Group("What to run", sort_key=1)


def add_to(app: App) -> None:
    add_verb(app, submit)


def submit(
    batch: Annotated[
        str | None, Parameter(help="the batch; default <pipeline>-<YYYYMMDD-HH>")
    ] = None,
    /,
    *,
    batch_name: Annotated[str | None, Parameter(group=_WHAT, help="the same as BATCH")] = None,
    pipeline: Annotated[Path | None, Parameter(group=_WHAT, help="pipeline file (YAML)")] = None,
    model: Annotated[
        str | None,
        Parameter(
            group=_WHAT, help="folder with handler.py, a CTranslate2 or a Hugging Face model"
        ),
    ] = None,
    catalog: Annotated[
        str | None,
        Parameter(
            group=_WHAT,
            help="STAC catalog, collection, ItemCollection or NDJSON: path, http(s) or s3",
        ),
    ] = None,
    stac_api_url: Annotated[str | None, Parameter(group=_WHAT, help="STAC API to read")] = None,
    benchmark_sources: Annotated[
        tuple[str, ...],
        Parameter(
            group=_WHAT, consume_multiple=True, help="collections of the STAC API", negative=""
        ),
    ] = (),
    item_list: Annotated[
        Path | None,
        Parameter(group=_WHAT, help="item ids, one a line, in the order to run; default all"),
    ] = None,
    limit_items: Annotated[
        int | None,
        Parameter(group=_WHAT, help="only the first N items", validator=validators.Number(gte=1)),
    ] = None,
    limit_sentences: Annotated[
        str | None,
        Parameter(
            group=_WHAT,
            help="only the first N sentences of each text; 4,1,2: of those of dev, devtest, test",
        ),
    ] = None,
    tiny_model: Annotated[
        bool,
        Parameter(
            group=_WHAT,
            help="no model: a stand-in that answers at once, to try out a pipeline",
            negative="",
        ),
    ] = False,
    canary: Annotated[
        int | None,
        Parameter(
            group=_WHAT,
            help="the first N items must succeed before any other is started; 0 = none must",
            validator=validators.Number(gte=0),
        ),
    ] = None,
    output_root: Annotated[
        str | None, Parameter(group=_WHAT, help="folder for the outputs; default outputs")
    ] = None,
    cluster: Annotated[ClusterName | None, Parameter(help="default local")] = None,
    nomad_addr: NomadAddr = None,
    job_vars: Annotated[
        Path | None, Parameter(help="variables of Nomad's job files, `name = value` lines")
    ] = None,
    use_local_creds: Annotated[
        bool,
        Parameter(
            name="--use-local-creds",
            help="give the caller's AWS credentials to the jobs, and keep them fresh",
            negative="",
        ),
    ] = False,
    trust_model_code: Annotated[
        bool,
        Parameter(
            name="--trust-model-code",
            group=_WHAT,
            help="run a handler.py that comes from a bucket",
            negative="",
        ),
    ] = False,
    skip_bad: Annotated[
        bool,
        Parameter(
            name="--skip-bad", help="go on without the items that cannot be used", negative=""
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        Parameter(name="--dry-run", help="check everything, print what would run", negative=""),
    ] = False,
    resume: Annotated[
        bool, Parameter(help="go on with the batch of this name", negative="")
    ] = False,
    unattended: Annotated[
        bool,
        Parameter(
            help="for a supervisor that starts it again: begin the batch or go on with it;"
            " exit code 0 where another start would change nothing",
            negative="",
        ),
    ] = False,
    tensorboard: Annotated[
        bool,
        Parameter(
            help="show its curves in TensorBoard on this machine for as long as it runs",
            negative="",
        ),
    ] = False,
    tensorboard_port: Port = PORT,
    tuning: Tuning = NO_TUNING,
    inference: Inference = NO_INFERENCE,
    common: Common = NO_COMMON,
) -> int:
    """Run a pipeline over items, or go on with a batch.

    Examples:
    coordinator submit --pipeline inputs/pipelines/translate-and-score.yml
        --catalog items/collection.json --model models/mine --dry-run

    coordinator submit --pipeline inputs/pipelines/translate-and-score.yml
        --catalog items/collection.json --limit_items 3 --limit_sentences 4,1,2 --tiny_model

    coordinator submit --batch_name my-batch --resume
    """
    output = Output(as_json=common.json)
    asked = {
        "pipeline": pipeline,
        "model": model,
        "catalog": catalog,
        "stac_api_url": stac_api_url,
        "output_root": output_root,
        "cluster": cluster,
        "nomad_addr": nomad_addr,
        "job_vars": job_vars,
        "trust_model_code": trust_model_code or None,
        "use_local_creds": use_local_creds or None,
        **tuning.given(),
    }
    given = {name for name, value in asked.items() if value is not None}
    request = SubmitRequest(
        settings=common.load(**asked),
        batch_name=one_name(batch, batch_name) if batch or batch_name else None,
        item_list=item_list,
        collections=tuple(benchmark_sources),
        limit_items=limit_items,
        limit_sentences=_sentences(limit_sentences),
        tiny_model=tiny_model,
        canary=canary,
        skip_bad=skip_bad,
        inference=inference.given(),
        output_root=output_root,
    )
    if resume and dry_run:
        raise UsageError(
            "--dry-run is for new batches",
            why="a resume checks nothing that could be shown first",
            hint="coordinator status BATCH says what is left; leave out one of the two",
        )
    if unattended and not resume and submitting.is_begun(request):
        # The line is the one that began it: canaries may have been lifted since.
        resume, request = True, replace(request, canary=None)
    board = tensorboard_port if tensorboard else None
    if resume:
        with tensorboard_beside(output, request.settings, request.batch_name, board):
            return drive_shown(
                output,
                lambda watch: submitting.resume(request, given, make_clock(), watch),
                unattended=unattended,
            )
    return _submit(output, request, dry_run=dry_run, unattended=unattended, board=board)


def _sentences(text: str | None) -> tuple[int, ...]:
    """Raises UsageError: not what `--limit_sentences` takes."""
    try:
        return sentences_from(text) if text is not None else ()
    except ValueError as error:
        raise UsageError(
            f"--limit_sentences {for_terminal(str(text))} cannot be used",
            why="it takes one number, or three (of dev, devtest and test), each at least 1",
            hint="--limit_sentences 4, or --limit_sentences 4,1,2",
        ) from error


def _submit(
    output: Output,
    request: SubmitRequest,
    *,
    dry_run: bool,
    unattended: bool,
    board: int | None,
) -> int:
    """`board`: the port of a TensorBoard beside it; None = without."""
    clock = make_clock()
    with Checking(output) as checking:
        plan = plan_submit(request, clock, checking.on_progress)
    if dry_run:
        output.result(
            {"plan": plan.to_json()}, *plan_lines(plan), "dry run: nothing was dispatched"
        )
        return ExitCode.OK
    for line in plan_lines(plan):
        output.say(str(line))
    with tensorboard_beside(output, request.settings, plan.record.batch, board):
        return drive_shown(
            output,
            lambda watch: submitting.submit(plan, request.settings, clock, watch),
            unattended=unattended,
        )
