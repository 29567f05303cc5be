"""The verb that puts two batches side by side: compare."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from coordinator.bootstrap import make_clock
from coordinator.cli.live import Checking
from coordinator.cli.options import NO_COMMON, Common
from coordinator.cli.output import Output, write_file
from coordinator.cli.verb import add_verb
from coordinator.domain.shown import for_terminal
from coordinator.errors import ExitCode, UsageError
from coordinator.settings import nearest

Format = Literal["table", "markdown", "latex", "json", "html"]
_BY_SUFFIX: dict[str, Format] = {
    ".md": "markdown",
    ".tex": "latex",
    ".json": "json",
    ".html": "html",
    ".htm": "html",
}
_TOP = {"table": 10, "markdown": 50, "latex": 50, "json": 0, "html": 200}  # of long lists
_MOST_SAMPLES = 1_000_000


def add_to(app: App) -> None:
    add_verb(app, compare)


def compare(
    a: Annotated[str, Parameter(help="the batch to compare with")],
    b: Annotated[str, Parameter(help="the batch that is compared")],
    /,
    *,
    significance: Annotated[
        Literal["bootstrap", "randomization", "none"] | None,
        Parameter(help="how each item's difference is tested; default bootstrap, where it can be"),
    ] = None,
    resamples: Annotated[
        int | None, Parameter(help="draws of each test; default as sacrebleu: 1,000 or 10,000")
    ] = None,
    metric: Annotated[
        str | None, Parameter(help="shown by item and by language; default the first")
    ] = None,
    top: Annotated[
        int | None, Parameter(help="how many items long lists name; default 10, in files more")
    ] = None,
    format: Annotated[
        Format | None, Parameter(help="default the one of FILE's name, else a table")
    ] = None,
    out: Annotated[Path | None, Parameter(help="write to this file")] = None,
    common: Common = NO_COMMON,
) -> int:
    """Compare two batches: scores, items that changed, speed and cost.

    Each item's difference is tested by its sentences, and the p-values are corrected for the number
    of items.

    Examples:
    coordinator compare my-batch my-other-batch

    coordinator compare my-batch my-other-batch --significance randomization --out compared.html

    coordinator compare my-batch my-other-batch --format markdown --top 5
    """
    output, settings = Output(as_json=common.json), common.load()
    output.say(f"reading the logs of {a} and {b}")
    from coordinator.cli import compared  # numpy takes a while to import

    chosen = _format(format, out)
    _check(resamples, top)
    with Checking(output) as display:
        found = compared.compare(
            settings,
            a,
            b,
            make_clock(),
            display.on_progress,
            test=significance,
            samples=resamples,
        )
    _check_metric(metric, found.metrics)
    extent = compared.Extent(metric or "", _TOP[chosen] if top is None else top, chosen != "table")
    document = {"comparison": found.to_json()}
    if out:
        _write(out, compared.text(chosen, found, extent, document))
        line = f"{chosen} written to {for_terminal(str(out))}"
        output.result({**document, "out": str(out)}, line)
    elif chosen == "table" or common.json:
        output.result(document, *compared.tables(found, extent))
    else:
        output.text(compared.text(chosen, found, extent, document))
    return ExitCode.OK


def _format(given: Format | None, out: Path | None) -> Format:
    if given:
        return given
    return _BY_SUFFIX.get(out.suffix.lower(), "table") if out else "table"


def _check(resamples: int | None, top: int | None) -> None:
    if resamples is not None and not 1 <= resamples <= _MOST_SAMPLES:
        raise UsageError(f"--resamples {resamples} cannot be", hint=f"1 to {_MOST_SAMPLES:,}")
    if top is not None and top < 0:
        raise UsageError(f"--top {top} cannot be", hint="0 or more")


def _check_metric(metric: str | None, known: list[str]) -> None:
    if metric is not None and metric not in known:
        raise UsageError(
            f"the two batches share no metric {metric!r}",
            why=f"there is {', '.join(known)}" if known else "they share none at all",
            hint=nearest(metric, known) or "leave --metric out for the first",
        )


def _write(out: Path, text: str) -> None:
    try:
        write_file(out, text)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written", why=error.strerror or str(error), hint="try another --out"
        ) from error
