"""Verbs that prepare a batch: items, test-handler, demo."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.table import Table
from rich.text import Text

from coordinator.bootstrap import make_clock
from coordinator.catalog import count_items, make_collection, open_source, show_item
from coordinator.cli.live import Checking, Display, watch_of
from coordinator.cli.options import NO_COMMON, Common
from coordinator.cli.output import Output
from coordinator.cli.show import outcome_lines
from coordinator.cli.verb import add_verb
from coordinator.cli.words import duration, plural
from coordinator.commands.demo import DEFAULT_FOLDER, DEFAULT_WORK, Demo
from coordinator.commands.driving import Driven, Watch
from coordinator.commands.models import compare_manifest, make_manifest
from coordinator.commands.reporting import Report
from coordinator.commands.trial import try_handler
from coordinator.domain.endpoint import TRANSLATE
from coordinator.domain.manifest import MANIFEST
from coordinator.domain.shown import for_terminal as safe
from coordinator.errors import ExitCode
from coordinator.reports.lists import PAGE
from coordinator.reports.render import render
from coordinator.secrecy import known
from coordinator.secrecy.sources import in_address


def add_to(app: App) -> None:
    app.command(items())
    add_verb(app, test_handler)
    add_verb(app, model_manifest)
    add_verb(app, demo)


def items() -> App:
    """Make, count and show items."""
    app = App(name="items", help=items.__doc__)
    for verb in (from_text, count, show):
        add_verb(app, verb)
    return app


def from_text(
    folder: Annotated[Path, Parameter(help="folder of aligned text, one sentence a line")],
    /,
    *,
    split: Annotated[str, Parameter(help="split, e.g. dev or devtest")],
    out: Annotated[Path, Parameter(help="folder for the collection; new or made by this verb")],
    collection: Annotated[
        str | None, Parameter(help="id of the collection; default the folder's name")
    ] = None,
    common: Common = NO_COMMON,
) -> int:
    """Make a STAC collection of every direction from a folder of aligned text.

    Files may be called <lang>.txt, <lang>.<split> or <split>/<lang>.<split>.

    Examples:
    coordinator items from-text inputs/demo/text --split devtest --out items
    """
    output = Output(as_json=common.json)
    with Checking(output) as checking:
        made = make_collection(
            folder, split, out, collection_id=collection, on_progress=checking.on_progress
        )
    lines = [
        f"{made.items:,} items, {len(made.languages):,} languages, "
        f"{made.sentence_pairs:,} sentence pairs -> {safe(str(made.catalog))}"
    ]
    lines += [f"  left out {safe(name)}: {safe(why)}" for name, why in made.skipped.items()]
    output.result({"collection": asdict(made)}, *lines)
    return ExitCode.OK


def count(
    catalog: Annotated[str, Parameter(help="STAC catalog, collection or list of items")],
    /,
    *,
    item_list: Annotated[Path | None, Parameter(help="only these ids, one a line")] = None,
    common: Common = NO_COMMON,
) -> int:
    """Count the items of a catalog by collection, split and language.

    Examples:
    coordinator items count items/collection.json
    """
    output = Output(as_json=common.json)
    common.load()
    counts = count_items(open_source(catalog), item_list).to_json()
    table = Table("by", "value", "items", box=None, pad_edge=False)
    for by in ("collections", "splits", "source_languages", "target_languages"):
        for value, number in sorted(counts[by].items()):
            table.add_row(by.replace("_", " "), Text(safe(value)), f"{number:,}")
    total = (
        f"{plural(counts['total'], 'item')}, {counts['repeated']:,} repeated, "
        f"{counts['unusable']:,} unusable, {len(counts['missing']):,} missing"
    )
    output.result({"counts": counts}, total, table)
    return ExitCode.OK


def show(
    catalog: Annotated[str, Parameter(help="STAC catalog, collection or list of items")],
    item: Annotated[str, Parameter(help="the item's id")],
    /,
    *,
    common: Common = NO_COMMON,
) -> int:
    """Show one item: properties, assets, first sentence pair.

    Examples:
    coordinator items show items/collection.json demo-devtest-eng-fra
    """
    output = Output(as_json=common.json)
    common.load()
    found = show_item(open_source(catalog), item)
    known.learn(each for asset in found.assets.values() for each in in_address(asset.href))
    lines = [f"{key:<20} {safe(str(value))}" for key, value in found.item.properties.items()]
    for name, asset in found.assets.items():
        lines.append(f"{name:<20} {safe(asset.href)}")
        said = asset.fault or f"{asset.size:,} bytes, {asset.lines} lines: {asset.first_line}"
        lines.append(f"{'':<20} {safe(said)}")
    output.result({"item": asdict(found)}, safe(found.item.id), *lines)
    return ExitCode.OK


def test_handler(
    folder: Annotated[Path, Parameter(help="folder of a model: see docs/writing-a-handler.md")],
    /,
    *,
    image: Annotated[
        str | None,
        Parameter(help="try it inside this worker image, without a network but for endpoints"),
    ] = None,
    source_language: str = "eng",
    target_language: str = "fra",
    task: Annotated[str, Parameter(help="which of the prompts of an endpoint")] = TRANSLATE,
    common: Common = NO_COMMON,
) -> int:
    """Try a model on a dozen sentences before a batch is spent on it.

    Examples:
    coordinator test-handler inputs/models/copy

    coordinator test-handler inputs/models/lexicon --target_language spa
    """
    output = Output(as_json=common.json)
    settings = common.load()
    with output.err.status(Text(safe(f"{folder} loads, and translates a dozen sentences"))):
        pairs = try_handler(settings, folder, source_language, target_language, image, task=task)
    table = Table("sentence", "translation", box=None, pad_edge=False)
    for pair in pairs:
        table.add_row(*(Text(safe(side)) for side in pair))
    output.result({"pairs": pairs}, table, f"{plural(len(pairs), 'sentence')} translated")
    return ExitCode.OK


def model_manifest(
    folder: Annotated[str, Parameter(help="folder or s3://bucket/prefix of a model")],
    /,
    *,
    check: Annotated[
        bool, Parameter(help="only compare the files with the manifest that is there", negative="")
    ] = False,
    common: Common = NO_COMMON,
) -> int:
    """Write down which files a model is made of, with sizes and hashes, as model-manifest.json.

    A batch takes it along, and every node checks what it uses against it.

    Examples:
    coordinator model-manifest models/mine

    coordinator model-manifest models/mine --check
    """
    output, read = Output(as_json=common.json), 0
    common.load()
    with Checking(output) as checking:

        def on_bytes(count: int) -> None:
            nonlocal read
            read += count
            checking.on_progress("read, MB", read // 1_000_000, None)

        work = compare_manifest if check else make_manifest
        manifest = work(folder, on_bytes)
    files = f"{plural(len(manifest.files), 'file')}, {manifest.size:,} bytes"
    document = {"digest": manifest.digest, "size": manifest.size, "files": len(manifest.files)}
    done = "as its manifest says" if check else f"-> {MANIFEST}"
    output.result({"model": document}, f"{safe(folder)}  {files}, {manifest.digest[:16]}  {done}")
    return ExitCode.OK


def demo(
    *,
    folder: Annotated[Path, Parameter(help="texts and model of the demo")] = DEFAULT_FOLDER,
    work: Annotated[Path, Parameter(help="everything is written there")] = DEFAULT_WORK,
    common: Common = NO_COMMON,
) -> int:
    """Translate and score 30 directions on this machine; one fails on purpose and is mended.

    Examples:
    coordinator demo
    """
    output = Output(as_json=common.json)
    show = Demo(folder, work, common.load(), make_clock())
    output.say(f"items     {plural(show.make_items(), 'direction')} from {folder / 'text'}")
    first = _shown(output, show.run)
    output.say("report of the first run:")
    _show_report(output, show.report())
    output.say("the fault is removed, and what failed runs again")
    second = _shown(output, show.mend)
    report = show.report()
    _show_report(output, report)
    output.result(
        {"first": first.results.to_json(), "second": second.results.to_json()},
        *show.summary(first, second),
        f"      report   {_place_of(report)}",
        f"      seconds  {duration(show.seconds)}",
        "      next     coordinator submit --help, docs/batch-run-guide.md",
    )
    return int(second.exit_code)


def _place_of(report: Report) -> Path:
    """What to open: the page, where its libraries are there."""
    return report.folder / PAGE if PAGE in report.summary.files else report.folder


def _show_report(output: Output, report: Report) -> None:
    if not output.as_json:
        output.err.print(render(report.summary))


def _shown(output: Output, run: Callable[[Watch], Driven]) -> Driven:
    with Display(output) as display:
        driven = run(watch_of(display))
    for line in outcome_lines(driven.results):
        output.say(line)
    return driven
