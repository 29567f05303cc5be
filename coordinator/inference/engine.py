"""Works off the items of a pack with a model that runs in processes of its own.

The sentences of all items share batches (`pool`), an item is whole as soon as its last sentence is
(`book`), and what a process cannot do is narrowed down to the sentence that it fails at.
"""

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from coordinator.domain.endpoint import ENDPOINT
from coordinator.domain.job_options import InferenceOptions
from coordinator.domain.model_folder import HANDLER
from coordinator.domain.reach import Reach
from coordinator.errors import WorkInterrupted
from coordinator.inference.book import Text, Translated
from coordinator.inference.crew import SERVER, About, Crew, Member, Said, Setup, bury, hello
from coordinator.inference.gpus import usable_gpus
from coordinator.inference.records import OnBatch
from coordinator.inference.shift import LOOK, OF_THE_WORK, Shift

T = TypeVar("T")


class Engine:
    """A model, loaded, in its processes. Whoever makes one closes it.

    Processes that cannot load it are done without, as long as another one can.

    Args:
        on_batch: is told of each batch.
        on_line: is told each line that the model prints.
        on_loss: is told of each process that was lost.
        stopped: whether to stop loading.

    Raises:
        ModelError, MemoryError, BadInput, TimeoutError: the model cannot be loaded.
        WorkInterrupted: `stopped()` became true.
    """

    def __init__(
        self,
        folder: Path,
        options: InferenceOptions,
        on_batch: OnBatch = lambda _: None,
        on_line: Callable[[str], None] = lambda _: None,
        on_loss: Callable[[str], None] = lambda _: None,
        *,
        stopped: Callable[[], bool] = lambda: False,
        reach: Reach | None = None,
        command: Sequence[str] = SERVER,
    ) -> None:
        self._options, self._on_batch, self._on_loss = options, on_batch, on_loss
        self.events: SimpleQueue[Any] = SimpleQueue()
        self.crew = Crew(
            _setup(folder, options, reach or Reach(), command), self.events.put, on_line
        )
        try:
            self.about = self._wait_until_ready(stopped)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the processes, whatever they have in hand."""
        self.crew.close()

    def work_off(
        self,
        things: Iterable[T],
        read: Callable[[T], Text],
        stopped: Callable[[], bool] = lambda: False,
    ) -> Generator[tuple[T, Translated | Exception], None, None]:
        """What becomes of each thing, as soon as it is whole, in about their order.

        Whatever is raised, what was whole before has been yielded.

        They are taken lazily, in another thread; `read` gives the sentences of one, and what it
        raises is what becomes of that one.

        Raises:
            WorkInterrupted: `stopped()` became true; the batches in hand were finished.
            ModelError, MemoryError, TimeoutError: the processes die again and again.
            StorageError, CredentialsError: what `things` or the model raised.
        """
        told = self._on_batch, self.tell_loss
        shift = Shift[T](self.crew, self.events, self.about, self._options, *told)
        yield from shift.work_off(things, read, stopped)

    def tell_loss(self, member: Member, why: Exception) -> None:
        self._on_loss(f"process {member.seat + 1}: {why}")

    def _wait_until_ready(self, stopped: Callable[[], bool]) -> About:
        about: About | None = None
        while any(not member.ready for member in self.crew.members):
            if stopped():
                raise WorkInterrupted("asked to stop", why="the model was being loaded")
            self.crew.kill_slow_loaders(self._options.load_timeout)
            with suppress(Empty):
                about = self._heed_loader(self.events.get(timeout=LOOK)) or about
        assert about is not None
        return about

    def _heed_loader(self, said: Said) -> About | None:
        member = said.member
        if said.message is None:
            self._do_without(member, bury(member))
            return None
        try:
            about = hello(said.message)
        except OF_THE_WORK as error:
            member.kill(error)
            return None
        member.ready = True
        return about

    def _do_without(self, member: Member, why: Exception) -> None:
        if len(self.crew.members) == 1:
            raise why
        self.tell_loss(member, why)
        self.crew.do_without(member)


def _setup(folder: Path, options: InferenceOptions, reach: Reach, command: Sequence[str]) -> Setup:
    gpus = usable_gpus(os.environ) if options.device != "cpu" else []
    processes = options.processes or (1 if _is_elsewhere(folder) else max(len(gpus), 1))
    asked = {**options.model_dump(mode="json"), "processes": processes}
    return Setup(folder, asked, options.device, processes, gpus, reach, command)


def _is_elsewhere(folder: Path) -> bool:
    """Whether the model is asked over the network: no GPU of this node has a part in that."""
    return (folder / ENDPOINT).is_file() and not (folder / HANDLER).is_file()
