"""The verb `tensorboard`, and what `submit --tensorboard` does."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter, validators

from coordinator.bootstrap import make_clock
from coordinator.cli.options import NO_COMMON, Common, one_name
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.commands import board as boards
from coordinator.commands import tensorboard as gathering
from coordinator.commands.curves import USUAL, collecting_folder, words_in
from coordinator.commands.status import open_ledger, the_batch
from coordinator.errors import ExitCode
from coordinator.settings import Settings

Port = Annotated[
    int,
    Parameter(
        help="where TensorBoard listens; 0 = any that is free; default 6006",
        validator=validators.Number(gte=0, lte=65535),
    ),
]

_NO_CURVES = (
    "  try   a handler that writes event files to $COORDINATOR_TENSORBOARD_DIR;"
    " --monitoring_interval_seconds of submit, for what jobs use;",
    "        --filters, for items in other states",
)


def add_to(app: App) -> None:
    add_verb(app, tensorboard)


def tensorboard(
    batch: Annotated[
        str | None, Parameter(help="the batch; default the one that is being driven, or the only")
    ] = None,
    /,
    *,
    batch_name: Annotated[
        str | None, Parameter(name=("--batch", "--batch_name"), help="the same as BATCH")
    ] = None,
    items: Annotated[
        str | None, Parameter(help="only the curves of these items: a,b,c; default all")
    ] = None,
    filters: Annotated[
        str,
        Parameter(
            help="only of items in these states: Queued, Running, Completed, Failed, Canceled;"
            " default Queued,Running,Completed"
        ),
    ] = ",".join(USUAL),
    logdir: Annotated[
        Path | None, Parameter(help="folder for the curves; default local-tensorboard/<batch>")
    ] = None,
    port: Port = boards.PORT,
    host: Annotated[
        str, Parameter(help="address it listens on; default 127.0.0.1: this machine alone")
    ] = boards.HOST,
    no_serve: Annotated[
        bool,
        Parameter(
            name="--no-serve",
            help="only gather the curves, until the batch is finished",
            negative="",
        ),
    ] = False,
    common: Common = NO_COMMON,
) -> int:
    """Show the curves of a batch's items in TensorBoard, as they grow.

    The curves are what handlers write, and what jobs used, where that is measured. An item whose
    state is not wanted any more disappears.

    Examples:
    coordinator tensorboard my-batch --no-serve

    coordinator tensorboard --batch my-batch --items eng-fra,eng-deu --filters Failed --no-serve

    coordinator tensorboard my-batch --port 0
    """
    output, settings, clock = Output(as_json=common.json), common.load(), make_clock()
    words = words_in(filters)
    port = port if no_serve else boards.free_port(host, port)
    name = one_name(batch, batch_name) if batch or batch_name else the_batch(settings)
    folder = gathering.folder_for(name, logdir)
    asked = gathering.Asked(settings, name, clock, folder, words, _listed(items))
    open_ledger(settings, name, clock).close()  # nothing is made for a batch that is not known
    try:
        with collecting_folder(folder, name):
            _run(output, asked, None if no_serve else (host, port))
    except KeyboardInterrupt:
        output.say(f"TensorBoard has ended; batch {name} is as it was")
        return ExitCode.INTERRUPTED
    return ExitCode.OK


def _listed(items: str | None) -> frozenset[str] | None:
    if items is None:
        return None
    return frozenset(part.strip() for part in items.split(",") if part.strip())


def _run(output: Output, asked: gathering.Asked, address: tuple[str, int] | None) -> None:
    """Without an address until the batch is finished, else until it is interrupted."""
    rounds: list[gathering.Round] = []  # the newest
    stop, until_finished = threading.Event(), address is None
    with ExitStack() as stack:

        def on_round(found: gathering.Round) -> None:
            if not rounds and address:
                shown = stack.enter_context(boards.board(asked.folder, *address))
                _say_where(output, asked, shown.url)
            is_last = until_finished and found.is_finished  # it is the result
            if not is_last and (not rounds or rounds[0].line != found.line):
                output.say(f"{found.line}  in {asked.folder}")
            rounds[:] = [found]

        last = gathering.gather(
            asked, output.say, on_round, until_finished=until_finished, stop=stop
        )
    _say_what(output, asked, last)


def _say_where(output: Output, asked: gathering.Asked, url: str) -> None:
    document = {"url": url, "folder": str(asked.folder), "states": list(asked.words)}
    states = ", ".join(asked.words)
    output.result(
        {"tensorboard": document},
        f"TensorBoard  {url}   {asked.batch}: {states}   (Ctrl-C ends it)",
    )


def _say_what(output: Output, asked: gathering.Asked, found: gathering.Round) -> None:
    document = {
        "folder": str(asked.folder),
        "runs": found.collected.runs,
        "diagnostics": found.diagnostics,
        "left_out": found.collected.left_out,
    }
    is_empty = not found.collected.runs and not found.diagnostics
    show = "" if is_empty else f"  tensorboard --logdir {asked.folder}"
    hints = _NO_CURVES if is_empty else ()
    output.result({"tensorboard": document}, f"{found.line}  in {asked.folder}{show}", *hints)


@contextmanager
def tensorboard_beside(
    output: Output, settings: Settings, batch: str | None, port: int | None
) -> Iterator[None]:
    """TensorBoard for as long as a batch is driven; None = it is not asked for."""
    if port is None or batch is None:
        yield
        return
    folder = gathering.folder_for(batch, None)
    asked = gathering.Asked(settings, batch, make_clock(), folder)
    with gathering.beside(asked, boards.HOST, port, output.say):
        yield
