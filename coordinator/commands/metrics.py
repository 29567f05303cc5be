"""`metrics`: the counts of batches for Prometheus, from their ledgers.

Labels are batches, states, kinds and steps; never items, of which there are too many.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIServer

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.record import BatchRecord, record_of
from coordinator.commands.status import open_ledger
from coordinator.commands.unknown import batch_names
from coordinator.commands.watching import pause_of
from coordinator.domain.states import FINISHED_ITEMS, AttemptState, FailureKind, ItemState
from coordinator.errors import CoordinatorError, UsageError
from coordinator.files import write_whole
from coordinator.ledger import ControlDesk, Ledger, Tally, holder
from coordinator.settings import Settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

HOST = "127.0.0.1"


@dataclass(frozen=True)
class _Batch:
    """What is told of one batch."""

    name: str
    record: BatchRecord
    tally: Tally
    out: dict[int, int]  # step -> dispatches
    is_paused: bool
    is_driven: bool
    idle: float  # seconds since the last event


Labels = tuple[str, ...]
Values = Callable[[_Batch], Iterator[tuple[Labels, float]]]


@dataclass(frozen=True)
class _Gauge:
    """One of what is told; each value comes with its labels after `batch`."""

    name: str
    help: str
    labels: Labels
    values: Values


def _items(b: _Batch) -> Iterator[tuple[Labels, float]]:
    counts = {**b.tally.items, ItemState.SKIPPED: len(b.record.skipped)}
    return (((str(state),), counts.get(state, 0)) for state in ItemState)


def _failures(b: _Batch) -> Iterator[tuple[Labels, float]]:
    return (((str(kind),), b.tally.failed_kinds.get(kind, 0)) for kind in FailureKind)


def _attempts(b: _Batch) -> Iterator[tuple[Labels, float]]:
    for index, step in enumerate(b.record.steps):
        for state in AttemptState:
            yield (step, str(state)), b.tally.attempts.get((index, state), 0)


def _out(b: _Batch) -> Iterator[tuple[Labels, float]]:
    return (((step,), b.out.get(index, 0)) for index, step in enumerate(b.record.steps))


def _alone(value: Callable[[_Batch], float]) -> Values:
    return lambda b: iter([((), value(b))])


_GAUGES = (
    _Gauge("items", "Items of the batch by state; together they are all", ("state",), _items),
    _Gauge("failed_items", "Items that failed for good by kind of failure", ("kind",), _failures),
    _Gauge("attempts", "Attempts of items by step and state", ("step", "state"), _attempts),
    _Gauge("dispatches_out", "Jobs that are with the cluster", ("step",), _out),
    _Gauge(
        "items_in_flight",
        "Items that were started and are not finished",
        (),
        _alone(lambda b: b.tally.in_flight),
    ),
    _Gauge(
        "stop_threshold",
        "Items in flight at which no new one is started",
        (),
        _alone(lambda b: b.record.stop_threshold),
    ),
    _Gauge(
        "resume_threshold",
        "Items in flight at which it goes on",
        (),
        _alone(lambda b: b.record.resume_threshold),
    ),
    _Gauge("paused", "1 while no new item is started", (), _alone(lambda b: b.is_paused)),
    _Gauge("driven", "1 while a coordinator drives it", (), _alone(lambda b: b.is_driven)),
    _Gauge(
        "seconds_since_last_event",
        "How long ago anything was written to its ledger",
        (),
        _alone(lambda b: b.idle),
    ),
)


class Counts:
    """A collector of prometheus_client: reads the ledgers whenever it is asked."""

    def __init__(self, settings: Settings, batches: Sequence[str], clock: Clock) -> None:
        """`batches`: names; () = all that are here by then."""
        self._settings, self._batches, self._clock = settings, batches, clock

    def collect(self) -> "Iterator[Metric]":
        from prometheus_client.core import GaugeMetricFamily

        found = {name: self._found(name) for name in self._batches or batch_names(self._settings)}
        readable = GaugeMetricFamily(
            "coordinator_ledger_readable",
            "1 where the batch's ledger can be read",
            labels=["batch"],
        )
        for name, batch in found.items():
            readable.add_metric([name], float(batch is not None))
        yield readable
        for gauge in _GAUGES:
            labels = ["batch", *gauge.labels]
            family = GaugeMetricFamily(f"coordinator_{gauge.name}", gauge.help, labels=labels)
            for batch in filter(None, found.values()):
                for own, value in gauge.values(batch):
                    family.add_metric([batch.name, *own], float(value))
            yield family

    def _found(self, name: str) -> _Batch | None:
        try:
            with closing(open_ledger(self._settings, name, self._clock)) as ledger:
                return self._read(name, ledger)
        except CoordinatorError:
            return None

    def _read(self, name: str, ledger: Ledger) -> _Batch:
        record, tally = record_of(ledger), ledger.tally()
        is_finished = tally.items.keys() <= FINISHED_ITEMS
        driver = holder(batch_folder(self._settings, name)) or ""
        paused = pause_of(ledger, record, tally, ControlDesk(ledger).read(), driver)
        return _Batch(
            name=name,
            record=record,
            tally=tally,
            out=ledger.out_by_step(),
            is_paused=bool(paused) and not is_finished,
            is_driven=bool(driver),
            idle=max(0.0, self._clock.now() - ledger.last_event_at()),
        )


def registry_of(settings: Settings, batches: Sequence[str], clock: Clock) -> "CollectorRegistry":
    """What prometheus_client takes.

    Raises:
        BatchMissing: one that is named is not known here.
    """
    from prometheus_client import CollectorRegistry

    for name in batches:
        open_ledger(settings, name, clock).close()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Counts(settings, batches, clock))
    return registry


def as_text(registry: "CollectorRegistry") -> str:
    """In Prometheus' text format."""
    from prometheus_client import generate_latest

    return generate_latest(registry).decode()


def samples_in(registry: "CollectorRegistry") -> list[dict[str, Any]]:
    """Each number with its name and labels."""
    return [
        {"name": sample.name, "labels": dict(sample.labels), "value": sample.value}
        for family in registry.collect()
        for sample in family.samples
    ]


def write_text(registry: "CollectorRegistry", path: Path) -> None:
    """Put it in place at once, as the textfile collector of Prometheus' node exporter wants it.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        write_whole(path, as_text(registry).encode())
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written", why=error.strerror or str(error), hint="name another file"
        ) from error


def address_in(text: str) -> tuple[str, int]:
    """`ADDRESS:PORT`, `[ADDRESS]:PORT`, `:PORT` or `PORT`; without an address, this machine alone.

    Raises:
        UsageError: it is none of these.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise UsageError(
            f"--serve {text} cannot be used",
            why=f"{port!r} is no port",
            hint="--serve 9101 for this machine alone, or --serve ADDRESS:9101",
        )
    return host.removeprefix("[").removesuffix("]") or HOST, int(port)


@contextmanager
def served(registry: "CollectorRegistry", host: str, port: int) -> Iterator[str]:
    """Answer over HTTP, in a thread, until the context ends; yields the address to ask.

    Raises:
        UsageError: nobody can listen there.
    """
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, OverflowError, UnicodeError) as error:  # the last: 127.0.0..1
        raise UsageError(
            f"metrics cannot be served on {host}:{port}",
            why=getattr(error, "strerror", None) or str(error),
            hint="another port, or 0 for any that is free",
        ) from error
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        _stop(server, thread)


def _stop(server: WSGIServer, thread: Thread) -> None:
    server.shutdown()
    server.server_close()
    thread.join()
