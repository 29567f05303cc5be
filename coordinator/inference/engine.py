"""Works off the items of a pack with a model that runs in processes of its own.

The sentences of all items share batches (`pool`), an item is whole as soon as its last sentence is
(`book`), and what a process cannot do is narrowed down to the sentence that it fails at.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from coordinator.domain.job_options import InferenceOptions
from coordinator.domain.reach import Reach
from coordinator.domain.shown import for_terminal
from coordinator.errors import (
    BadInput,
    CoordinatorError,
    CredentialsError,
    ModelError,
    SourceUnreachable,
    StorageError,
    WorkInterrupted,
)
from coordinator.inference.answers import Answer, answer_to
from coordinator.inference.backend import Output
from coordinator.inference.book import Book, Text, Translated
from coordinator.inference.crew import SERVER, About, Crew, Member, Said, Setup, bury, hello
from coordinator.inference.dealer import Budget, Dealer
from coordinator.inference.gpus import usable_gpus
from coordinator.inference.intake import Arrived, Intake, NoMore
from coordinator.inference.patience import Patience
from coordinator.inference.pool import Pool, Unit
from coordinator.inference.records import BatchRecord, OnBatch
from coordinator.inference.wire import Nonsense
from coordinator.inference.work import Work

T = TypeVar("T")
BATCH_TOKENS = 4096  # where neither the options nor the backend say how many
_DEPTH = 4  # batches that wait for each process, so that there is a choice of like lengths
_MOST_LOSSES = 8  # processes in a row that died before they had translated anything
_LOOK = 0.2  # seconds between looks at what hangs, and at whether to stop
_SHOWN = 80  # characters of a sentence in a message
_ENDING = (StorageError, CredentialsError, WorkInterrupted)  # no fault of any sentence
_OF_THE_WORK = (CoordinatorError, MemoryError, TimeoutError)  # what a model process reports


class Engine:
    """A model, loaded, in its processes. Whoever makes one closes it.

    Raises:
        ModelError, MemoryError, BadInput: the model cannot be loaded.
    """

    def __init__(
        self,
        folder: Path,
        options: InferenceOptions,
        on_batch: OnBatch = lambda _: None,
        on_line: Callable[[str], None] = lambda _: None,
        *,
        reach: Reach | None = None,
        command: Sequence[str] = SERVER,
    ) -> None:
        self._options, self._on_batch = options, on_batch
        self.events: SimpleQueue[Any] = SimpleQueue()
        self.crew = Crew(
            _setup(folder, options, reach or Reach(), command), self.events.put, on_line
        )
        try:
            self.about = self._wait_until_ready()
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

        They are taken lazily, in another thread; `read` gives the sentences of one, and what it
        raises is what becomes of that one.

        Raises:
            WorkInterrupted: `stopped()` became true; the batches in hand were finished.
            ModelError, MemoryError, TimeoutError: the processes die again and again.
            StorageError, CredentialsError: what `things` or the model raised.
        """
        shift = Shift[T](self, self._options, self._on_batch)
        yield from shift.work_off(things, read, stopped)

    def _wait_until_ready(self) -> About:
        waiting, about = len(self.crew.members), None
        while waiting:
            said: Said = self.events.get()
            if said.message is None:
                raise bury(said.member)
            about = hello(said.message)
            said.member.ready = True
            waiting -= 1
        assert about is not None
        return about


def _setup(folder: Path, options: InferenceOptions, reach: Reach, command: Sequence[str]) -> Setup:
    gpus = usable_gpus(os.environ) if options.device != "cpu" else []
    processes = options.processes or max(len(gpus), 1)
    asked = options.model_dump(mode="json")
    return Setup(folder, asked, options.device, processes, gpus, reach, command)


class Shift(Generic[T]):
    """One pass over the items of a pack."""

    def __init__(self, engine: Engine, options: InferenceOptions, on_batch: OnBatch) -> None:
        about = engine.about
        self._engine, self._crew, self._on_batch = engine, engine.crew, on_batch
        self._whole_items, self._device = about.whole_items, about.device
        self._budget = Budget(_tokens(options, about), options.batch_size)
        self._pool = Pool(mixes_directions=about.mixes_directions, whole_items=about.whole_items)
        self._book: Book[T] = Book(every_line=about.whole_items)
        self._dealer = Dealer(
            self._pool, self._budget, self._book.is_wanted, whole_items=about.whole_items
        )
        self._patience = Patience(options.sentence_timeout, about.patience)
        self._losses: Counter[int] = Counter()  # of each seat, since it last translated anything
        self._asked = self._no_more = self._stopping = False

    def work_off(
        self, things: Iterable[T], read: Callable[[T], Text], stopped: Callable[[], bool]
    ) -> Generator[tuple[T, Translated | Exception], None, None]:
        intake = Intake(things, read, self._engine.events.put)
        try:
            while True:
                self._stopping = self._stopping or stopped()
                self._supply(intake)
                yield from self._book.ended()
                if self._is_over():
                    break
                self._hear()
                self._kill_what_hangs()
        finally:
            intake.close()
        if self._stopping and not (self._no_more and not self._book):
            raise WorkInterrupted("asked to stop", why="the batches in hand were finished")

    def _is_over(self) -> bool:
        if self._stopping:
            works = (work for member in self._crew.members for work in member.in_hand)
            return all(work.lane == "encode" for work in works)
        return self._no_more and not self._book

    # what comes in

    def _supply(self, intake: Intake[T]) -> None:
        """Take up an item where the pool is low, and give the processes what they have room for."""
        if self._stopping:
            return
        if not (self._asked or self._no_more) and self._is_hungry():
            self._asked = True
            intake.ask()
        self._dealer.deal(self._crew.members, more=self._is_more_to_come())

    def _is_hungry(self) -> bool:
        """Whether the pool is less deep than it may be; what is being encoded counts as if it were
        there.
        """
        depth = _DEPTH * len(self._crew.members)
        if self._whole_items or self._budget.tokens is None:
            return len(self._book) < depth
        coming = self._dealer.waiting + sum(len(work.units) for work in self._encoding())
        return self._pool.tokens + coming * self._usual_tokens() < depth * self._budget.tokens

    def _usual_tokens(self) -> float:
        """Of a sentence; a guess, before there are any."""
        return self._pool.tokens / len(self._pool) if self._pool else 30.0

    def _is_more_to_come(self) -> bool:
        return not self._no_more or bool(self._dealer.waiting) or any(self._encoding())

    def _encoding(self) -> Iterator[Work]:
        for member in self._crew.members:
            yield from (work for _, work in member.lanes["encode"])

    # what is heard

    def _hear(self) -> None:
        """The next event, and those that wait behind it."""
        try:
            self._heed(self._engine.events.get(timeout=_LOOK))
            while True:
                self._heed(self._engine.events.get_nowait())
        except Empty:
            return

    def _heed(self, event: Any) -> None:
        match event:
            case Arrived(thing, text):
                self._asked = False
                self._begin(thing, text)
            case NoMore(error):
                self._no_more = True
                if error is not None:
                    raise error
            case Said(member, None):
                self._lose(member)
            case Said(member, message) if not member.ready:
                self._welcome(member, message)
            case Said(member, message):
                self._answered(member, message)

    def _begin(self, thing: T, text: Text | Exception) -> None:
        if isinstance(text, Exception):
            self._book.refuse(thing, text)
        else:
            self._dealer.put(self._book.take(thing, text))

    def _welcome(self, member: Member, message: Any) -> None:
        """A process that took another's place; one that cannot load the model counts as lost."""
        try:
            hello(message)
            member.ready = True
        except Exception as error:
            member.fate = error  # it ends by itself, and that is heard

    def _answered(self, member: Member, message: Any) -> None:
        try:
            work = member.answered(message)
        except Nonsense as nonsense:
            error = ModelError("the model's process speaks nonsense", why=str(nonsense))
            member.kill(error)
            return
        try:
            self._take_up(member, work, answer_to(work, message))
        except _OF_THE_WORK as error:
            self._blame(work, error)

    def _take_up(self, member: Member, work: Work, answer: Answer) -> None:
        match work.lane:
            case "encode":
                self._encoded(work, answer)
            case "translate":
                self._translated(member, work, answer)
            case "decode":
                self._decoded(member, work, answer)

    def _encoded(self, work: Work, answer: Answer) -> None:
        for unit, row in zip(work.units, answer.results, strict=True):
            unit.row = row
        self._pool.add(work.units)

    def _translated(self, member: Member, work: Work, answer: Answer) -> None:
        self._patience.measured(work, answer.seconds)
        self._on_batch(self._record(work, answer))
        member.give(Work("decode", work.units, answer.results, answer.seconds, work.alone))

    def _decoded(self, member: Member, work: Work, answer: Answer) -> None:
        self._losses[member.seat] = 0
        tokens = sum(unit.tokens for unit in work.units)
        outputs = work.outputs or ()
        for unit, output, text in zip(work.units, outputs, answer.results, strict=True):
            seconds = work.seconds * unit.tokens / tokens
            self._book.settle(unit, text, seconds, truncated=_is_truncated(unit, output))

    def _record(self, work: Work, answer: Answer) -> BatchRecord:
        written = [output.tokens for output in answer.results]
        known = [tokens for tokens in written if tokens is not None]
        source, seconds = sum(unit.tokens for unit in work.units), answer.seconds
        return BatchRecord(
            sentences=len(work.units),
            source_tokens=source,
            target_tokens=sum(known) if len(known) == len(written) else None,
            truncated=sum(map(_is_truncated, work.units, answer.results)),
            seconds=round(seconds, 6),
            device=self._device,
            items=tuple(sorted({name for u in work.units for name, _ in self._book.places(u)})),
            tokens_per_second=round(source / seconds, 1) if seconds else None,
            padding=round(1 - source / work.cost, 4),
            peak_memory=answer.peak_memory,
        )

    # what goes wrong

    def _kill_what_hangs(self) -> None:
        now = time.monotonic()
        for member in self._crew.members:
            if member.fate is None and member.ready:
                for work in member.heads:
                    took, limit = now - member.since[work.lane], self._patience.limit(work)
                    if took > limit:
                        what = f"the model hung: nothing came for {took:.0f} s"
                        guilty = work if work.lane == "translate" else None
                        member.kill(TimeoutError(f"{what}, and {limit:.0f} were allowed"), guilty)

    def _lose(self, member: Member) -> None:
        """A process has gone: what it was doing is tried again, apart from all else."""
        why = bury(member)
        in_hand = member.in_hand
        # It may have answered at the very moment when it was killed for keeping us waiting.
        heads = [member.guilty] if member.guilty in in_hand else member.heads
        rest = [work for work in in_hand if work not in heads]
        self._dealer.again(rest)
        if len(heads) == 1:
            self._blame(heads[0], why, lost=True)
        else:
            self._dealer.suspect(heads)
        self._losses[member.seat] += 1
        if self._losses[member.seat] >= _MOST_LOSSES:
            raise _hopeless(why)
        if not self._stopping:
            self._crew.replace(member)

    def _blame(self, work: Work, error: Exception, *, lost: bool = False) -> None:
        """The work failed by itself: cut it in two, or fail the items of its one sentence."""
        if isinstance(error, _ENDING):
            raise error
        if isinstance(error, MemoryError) and work.lane == "translate":
            self._budget.shrink(work.cost)
        if isinstance(error, SourceUnreachable) or (
            isinstance(error, BadInput) and work.lane == "encode"
        ):
            self._fail_all(work, error)
        elif len(work.units) > 1:
            self._once_more(work.halves(), lost=lost)
        elif lost and self._is_given_another_chance(work.units[0], error):
            self._once_more([work], lost=True)
        else:
            self._fail(work.units[0], error)

    def _once_more(self, works: Sequence[Work], *, lost: bool) -> None:
        if lost:
            self._dealer.suspect(works)
        else:
            self._dealer.again(works)

    def _is_given_another_chance(self, unit: Unit, error: Exception) -> bool:
        """Whoever killed the process, it may not have been the sentence; a hang costs too much."""
        unit.losses += 1
        return unit.losses == 1 and not isinstance(error, TimeoutError)

    def _fail_all(self, work: Work, error: Exception) -> None:
        """Every item that these sentences are of fails, by no fault of one sentence."""
        for unit in work.units:
            self._book.fail(unit, [error for _ in self._book.places(unit)])

    def _fail(self, unit: Unit, error: Exception) -> None:
        found = [_named(error, name, line, unit.text) for name, line in self._book.places(unit)]
        self._book.fail(unit, found)


def _tokens(options: InferenceOptions, about: About) -> int | None:
    default = None if about.whole_items else BATCH_TOKENS
    return options.max_batch_tokens or about.token_budget or default


def _is_truncated(unit: Unit, output: Output) -> bool:
    """Whether the model could not read the end of it, or write the end of its translation."""
    return output.truncated or bool(unit.row and unit.row.truncated)


def _named(error: Exception, item: str, line: int, sentence: str) -> Exception:
    """The error with the item, the line and the sentence that it was raised at."""
    shown = for_terminal(sentence[:_SHOWN]) + ("…" if len(sentence) > _SHOWN else "")
    where = f"{item}, line {line} ({shown})"
    if isinstance(error, CoordinatorError):
        named: Exception = type(error)(f"{where}: {error.what}", why=error.why, hint=error.hint)
    else:
        named = type(error)(f"{where}: {error}")
    named.__cause__ = error.__cause__
    return named


def _hopeless(last: Exception) -> Exception:
    what = f"the model's process was lost {_MOST_LOSSES} times in a row, the last time"
    if isinstance(last, CoordinatorError):
        error: Exception = type(last)(f"{what}: {last.what}", why=last.why, hint=last.hint)
    else:
        error = type(last)(f"{what}: {last}")
    error.__cause__ = last.__cause__
    return error
