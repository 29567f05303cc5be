"""What a job does with items, and what it says when they are done."""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from coordinator.domain.handoff import HandoffItem


@dataclass(frozen=True)
class Done:
    """An item that went well.

    Attributes:
        facts: counts, seconds and scores for the outcome file; plain JSON.
        no_data: there was nothing to do, as expected.
        message: one line for the reader, where there is something to say.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    no_data: bool = False
    message: str = ""


class Job(Protocol):
    """The work of one step. Made once per dispatch; what is costly is loaded then."""

    def run(self, item: HandoffItem, inputs: Mapping[str, Path], out: Path) -> Done:
        """Work on one item: read `inputs` (name -> local file), leave files in the folder `out`.

        Raises:
            BadInput: the item or one of its files cannot be used.
            ModelError: the model or its handler failed.
        """
        ...


@dataclass(frozen=True)
class Parcel:
    """An item that the frame has made ready.

    Attributes:
        inputs: name -> local file.
        out: the folder to leave files in.
    """

    item: HandoffItem
    inputs: Mapping[str, Path]
    out: Path


@runtime_checkable
class PackJob(Protocol):
    """Works on many items at once. Made once per dispatch; what is costly is loaded then."""

    def run_all(
        self, parcels: Iterable[Parcel], stopped: Callable[[], bool]
    ) -> Generator[tuple[Parcel, Done | Exception], None, None]:
        """What became of each item, as soon as it is whole, in any order.

        An item begins when it is taken from `parcels`, which may be done in another thread.

        Raises:
            WorkInterrupted: `stopped()` became true; what was whole has been yielded.
            ModelError, MemoryError, TimeoutError: no item can be worked on any more.
        """
        ...


class TracebackElsewhere(Exception):
    """The traceback of another process, as its text; the cause of an error that came from there."""
