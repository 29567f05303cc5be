"""`bundle`: what somebody else needs to see of a batch, in one file without secrets.

Nothing of the texts or outputs is in it. All that is known to be secret is masked, passwords and
signatures in addresses are, and so is what stands under a name that says that it is secret.
"""

import gzip
import io
import json
import platform
import re
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from coordinator import __version__
from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.doctor import examine
from coordinator.commands.forecast import outlook
from coordinator.commands.record import BatchRecord, as_document, record_of
from coordinator.commands.results import Results, results_of
from coordinator.commands.status import open_ledger
from coordinator.errors import CoordinatorError, UsageError
from coordinator.files import write_whole
from coordinator.ledger import ControlDesk, Ledger, holder
from coordinator.secrecy import MARK, Mask, known
from coordinator.secrecy.sources import in_words, is_secret, scrubbed
from coordinator.settings import Settings

MOST_EVENTS = 200_000  # the newest
MOST_LOG_BYTES = 4 << 20  # of its end
_MODE = 0o600

README = """What somebody needs to see of the batch {batch}, made by `coordinator bundle`.

batch.json       what was asked: pipeline, model, thresholds, items left out
status.json      where its items stand, and who drives it
errors.json      failures that differ in more than numbers and ids, with an example each
events.ndjson    what happened, one event a line, the newest {events:,} at most
plan.json        what it takes, and how that went
doctor.json      what was found of what it leans on, on this machine, just now
versions.json    of the coordinator, Python and every package
coordinator.log  the end of the coordinator's own log

Known secrets are masked with stars, values under secret names with {mark}. Ids of items, paths and
names of hosts are as they are, and a reason may quote a sentence.
"""


@dataclass(frozen=True)
class Bundle:
    """The files, masked, in the order in which they are written."""

    batch: str
    made_at: int  # of all that is in it: the same batch gives the same bytes
    files: Mapping[str, bytes]


def bundle(settings: Settings, batch: str, clock: Clock) -> Bundle:
    """All that goes in; nothing is written yet.

    Raises:
        BatchMissing, LedgerError: its ledger is not there, or cannot be read.
    """
    with closing(open_ledger(settings, batch, clock)) as ledger:
        record = record_of(ledger)
        results = results_of(ledger, record)
        parts = {
            "README.txt": _readme(batch),
            "batch.json": _json(as_document(record)),
            "coordinator.log": _end_of(record.logs.coordinator_log),
            "doctor.json": _json(_doctor(settings, record)),
            "errors.json": _json([asdict(group) for group in results.failures]),
            "events.ndjson": _events(ledger),
            "plan.json": _json(_told(lambda: _plan(settings, batch, clock))),
            "status.json": _json(_status(settings, ledger, record, results)),
            "versions.json": _json(_versions()),
        }
    own = known.mask_with(in_words(_words_in(as_document(record))))
    return Bundle(batch, int(record.created_at), {n: _bare(d, own) for n, d in parts.items()})


def write_bundle(made: Bundle, path: Path) -> int:
    """Write it as a gzipped tar that only this user may read; its size in bytes.

    Raises:
        UsageError: something is there already, or it cannot be written.
    """
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} is there already", hint="--out names another file")
    data = _packed(made)
    try:
        write_whole(path, data, _MODE)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written", why=error.strerror or str(error), hint="--out FILE.tar.gz"
        ) from error
    return len(data)


def _packed(made: Bundle) -> bytes:
    out = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", filename="", mtime=made.made_at) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, data in made.files.items():
            entry = tarfile.TarInfo(f"{made.batch}-bundle/{name}")
            entry.size, entry.mtime, entry.mode = len(data), made.made_at, _MODE
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


# What goes in.


def _readme(batch: str) -> bytes:
    return README.format(batch=batch, events=MOST_EVENTS, mark=MARK).encode()


def _events(ledger: Ledger) -> bytes:
    lines = (json.dumps(asdict(event)) for event in ledger.newest_events(MOST_EVENTS))
    return "".join(f"{line}\n" for line in lines).encode()


def _end_of(path: Path) -> bytes:
    """The last lines of the log, none of them cut; nothing where there is no such file."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, io.SEEK_END)
            log.seek(max(0, size - MOST_LOG_BYTES))
            data = log.read(MOST_LOG_BYTES)
    except OSError:
        return b""
    return data if size <= MOST_LOG_BYTES else data.partition(b"\n")[2]


def _status(
    settings: Settings, ledger: Ledger, record: BatchRecord, results: Results
) -> dict[str, Any]:
    tally = ledger.tally()
    return {
        **results.to_json(),
        "attempts": [
            {"step": record.steps[step], "state": str(state), "count": count}
            for (step, state), count in sorted(tally.attempts.items())
        ],
        "dispatches_out": ledger.out_count(),
        "driven_by": holder(batch_folder(settings, record.batch)),
        "paused": ledger.was_paused(),
        "asked": ControlDesk(ledger).read().model_dump(mode="json"),
    }


def _plan(settings: Settings, batch: str, clock: Clock) -> dict[str, Any]:
    return outlook(settings, batch, gpus=None, quota=None, clock=clock).to_json()


def _doctor(settings: Settings, record: BatchRecord) -> Any:
    """With the batch's own cluster, model and output root in place of the settings'."""
    own = {
        "cluster": record.cluster,
        "model": record.model,
        "output_root": record.output_root,
        "pipeline": None,
    }
    asked = settings.model_copy(update=own)
    return _told(lambda: [asdict(finding) for finding in examine(asked, record.output_root)])


def _told(make: Callable[[], Any]) -> Any:
    """What it gives, or why it gives nothing: a bundle is wanted where something is wrong."""
    try:
        return make()
    except CoordinatorError as error:
        return {"error": str(error), "hint": error.hint}


def _versions() -> dict[str, Any]:
    packages = {dist.name: dist.version for dist in distributions() if dist.name}
    return {
        "coordinator": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "packages": dict(sorted(packages.items(), key=lambda pair: pair[0].lower())),
    }


# What stays out of it.


def _bare(data: bytes, mask: Mask) -> bytes:
    """Without what is known to be secret, and without what looks like it."""
    text = mask.data(data).decode("utf-8", "replace")
    return scrubbed(text).encode()


def _words_in(document: Any) -> Iterator[str]:
    match document:
        case str():
            yield document
        case dict():
            for name, value in document.items():
                yield from _words_in(name)
                yield from _words_in(value)
        case list() | tuple():
            for value in document:
                yield from _words_in(value)


def _json(document: Any) -> bytes:
    text = json.dumps(_without_named(document), indent=1, sort_keys=True, default=str)
    return text.encode("utf-8", "replace") + b"\n"


_PARTS = re.compile(r"[-. ]|(?<=[a-z])(?=[A-Z])")
_FLAG = re.compile(r"--([A-Za-z][\w.-]*)")
_GIVEN = re.compile(r"-*([A-Za-z][\w.-]*)=.", re.DOTALL)


def _without_named(document: Any) -> Any:
    """The document with a mark in place of what stands under a name that says it is secret.

    In lists, which may be command lines, that is what follows `--NAME=` or `--NAME` too.
    """
    match document:
        case dict():
            return {
                name: _marked(value) if _is_secret(str(name)) else _without_named(value)
                for name, value in document.items()
            }
        case list() | tuple():
            return [
                _marked(value) if _asks_for_secret(before) else _word(value)
                for before, value in zip([None, *document], document, strict=False)
            ]
    return document


def _marked(value: Any) -> Any:
    """Whole, whatever is in it; what says only whether there is something stays."""
    return value if isinstance(value, bool) or value in (None, "", [], {}, ()) else MARK


def _word(value: Any) -> Any:
    if isinstance(value, str) and (given := _GIVEN.match(value)) and _is_secret(given[1]):
        return value[: given.end(1) + 1] + MARK
    return _without_named(value)


def _asks_for_secret(word: Any) -> bool:
    flag = _FLAG.fullmatch(word) if isinstance(word, str) else None
    return flag is not None and _is_secret(flag[1])


def _is_secret(name: str) -> bool:
    return is_secret(_PARTS.sub("_", name))
