"""One pass over the items of a pack: who is given what, what is heard, and what goes wrong."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from coordinator.debugging.standstill import is_held, steady
from coordinator.domain.job_options import InferenceOptions
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
from coordinator.inference.crew import About, Crew, Member, Said, bury, hello
from coordinator.inference.dealer import Budget, Dealer
from coordinator.inference.faults import line_shown, prefixed
from coordinator.inference.intake import Arrived, Intake, NoMore
from coordinator.inference.losses import Losses
from coordinator.inference.patience import Patience
from coordinator.inference.pool import Pool, Unit
from coordinator.inference.records import BatchRecord, OnBatch
from coordinator.inference.wire import Nonsense
from coordinator.inference.work import Work

T = TypeVar("T")
LOOK = 0.2  # seconds between looks at what hangs, and at whether to stop
BATCH_TOKENS = 4096  # where neither the options nor the backend say how many
_DEPTH = 4  # batches that wait for each process, so that there is a choice of like lengths
_WHOLE_DEPTH = 2  # whole items in hand of each process: one, and one that follows without a wait
_ENDING = (StorageError, CredentialsError, WorkInterrupted)  # no fault of any sentence
OF_THE_WORK = (CoordinatorError, MemoryError, TimeoutError)  # what a model process reports


class Shift(Generic[T]):
    """One pass over the items of a pack."""

    def __init__(
        self,
        crew: Crew,
        events: SimpleQueue[Any],
        about: About,
        options: InferenceOptions,
        on_batch: OnBatch,
        on_loss: Callable[[Member, Exception], None],
    ) -> None:
        self._crew, self._events = crew, events
        self._on_batch, self._on_loss = on_batch, on_loss
        self._whole_items, self._device = about.whole_items, about.device
        self._budget = _budget(options, about)
        self._pool = Pool(mixes_directions=about.mixes_directions, whole_items=about.whole_items)
        self._book: Book[T] = Book(every_line=about.whole_items)
        self._dealer = Dealer(
            self._pool, self._budget, self._book.is_wanted, whole_items=about.whole_items
        )
        self._patience = Patience(options.sentence_timeout, about.patience)
        self._losses = Losses()
        self._load_timeout = options.load_timeout
        self._asked = self._no_more = self._stopping = False

    def work_off(
        self, things: Iterable[T], read: Callable[[T], Text], stopped: Callable[[], bool]
    ) -> Generator[tuple[T, Translated | Exception], None, None]:
        intake = Intake(things, read, self._events.put)
        try:
            while True:
                self._stopping = self._stopping or stopped()
                self._supply(intake)
                yield from self._book.ended()
                if self._is_over():
                    break
                self._hear()
                self._kill_what_hangs()
        except Exception:
            yield from self._book.ended()
            raise
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
        for work, error in self._dealer.deal(self._crew.members, more=self._is_more_to_come()):
            self._blame(work, error)

    def _is_hungry(self) -> bool:
        """Whether the pool is less deep than it may be; what is being encoded counts as if it were
        there.
        """
        if self._whole_items:
            return len(self._book) < _WHOLE_DEPTH * len(self._crew.members)
        depth = _DEPTH * len(self._crew.members)
        if self._budget.tokens is None:
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
            self._heed(self._events.get(timeout=LOOK))
            while True:
                self._heed(self._events.get_nowait())
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
            case Said(member) if member not in self._crew.members:
                return  # of one that is given up: what it had in hand is others' by now
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
        except _ENDING:
            raise
        except Exception as error:
            member.kill(error)
        else:
            member.ready = True
            self._losses.loaded(member.seat)

    def _answered(self, member: Member, message: Any) -> None:
        try:
            work = member.answered(message)
        except Nonsense as nonsense:
            error = ModelError("the model's process speaks nonsense", why=str(nonsense))
            member.kill(error)
            return
        try:
            self._take_up(member, work, answer_to(work, message))
        except OF_THE_WORK as error:
            if message.get("spoilt"):
                member.spoilt_by(work, error)
            else:
                self._blame(work, error)

    def _take_up(self, member: Member, work: Work, answer: Answer) -> None:
        self._losses.did(work.lane)
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
        self._budget.fitted(work.cost)
        self._on_batch(self._record(work, answer))
        member.give(Work("decode", work.units, answer.results, answer.seconds, work.alone))

    def _decoded(self, member: Member, work: Work, answer: Answer) -> None:
        self._losses.worked(member.seat)
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
        self._crew.kill_slow_loaders(self._load_timeout)
        now = steady()
        for member in self._crew.members:
            for work in member.heads if member.fate is None else ():
                took, limit = now - member.since[work.lane], self._limit(member, work)
                if took > limit and not is_held():
                    what = f"the model hung: nothing came for {took:.0f} s"
                    member.kill(TimeoutError(f"{what}, and {limit:.0f} were allowed"), work)

    def _limit(self, member: Member, work: Work) -> float:
        """Seconds; a translation that holds the interpreter holds up what is beside it."""
        beside = [work] if work.lane == "translate" else member.heads
        return max(map(self._patience.limit, beside))

    def _lose(self, member: Member) -> None:
        """A process has gone: what it was doing is tried again, apart from all else."""
        why = bury(member)
        self._on_loss(member, why)
        suspects = member.suspects
        self._dealer.again([work for work in member.let_go() if work not in suspects])
        self._make_good(member, why)
        if len(suspects) == 1:
            self._blame(suspects[0], why, lost_at=member.seat)
        else:
            self._dealer.suspect(suspects, member.seat)

    def _make_good(self, member: Member, why: Exception) -> None:
        """Another process in its place, where that may help."""
        if self._losses.lost(member):
            if not self._stopping:
                self._crew.replace(member)
        elif len(self._crew.members) > 1:
            self._crew.do_without(member)
        else:
            raise prefixed(why, "the model's process was lost again and again")

    def _blame(self, work: Work, error: Exception, *, lost_at: int | None = None) -> None:
        """The work failed by itself: cut it in two, or fail the items of its one sentence.

        A model that asks for whole items is never given a part of one: it would be asked something
        else, and answer or fail for other reasons.
        """
        if isinstance(error, _ENDING):
            raise error
        self._learn(work, error)
        if isinstance(error, SourceUnreachable) or (
            isinstance(error, BadInput) and work.lane == "encode"
        ):
            self._fail_all(work, error)
        elif len(work.units) > 1 and not self._whole_items:
            self._once_more(self._parts(work, lost=lost_at is not None), lost_at)
        elif lost_at is not None and self._is_given_another_chance(work.units[0], error):
            self._once_more([work], lost_at)
        else:
            self._fail(work, error)
            if lost_at is not None and not self._losses.found():
                raise prefixed(error, "the model died of one sentence after the other")

    def _learn(self, work: Work, error: Exception) -> None:
        """What a batch may hold, where memory ran out."""
        if self._whole_items or work.lane != "translate" or not isinstance(error, MemoryError):
            return
        if len(work.units) > 1:
            self._budget.shrink(work.cost)
        else:
            self._budget.restore(work.budget)

    def _parts(self, work: Work, *, lost: bool) -> list[Work]:
        """Halves; one sentence and the rest, where the model may be one that always dies."""
        return work.halves() if not lost or self._losses.has_done(work.lane) else work.cut(1)

    def _once_more(self, works: Sequence[Work], lost_at: int | None) -> None:
        if lost_at is None:
            self._dealer.again(works)
        else:
            self._dealer.suspect(works, lost_at)

    def _is_given_another_chance(self, unit: Unit, error: Exception) -> bool:
        """Whoever killed the process, it may not have been the sentence; a hang costs too much."""
        unit.losses += 1
        return unit.losses == 1 and not isinstance(error, TimeoutError)

    def _fail_all(self, work: Work, error: Exception) -> None:
        """Every item that these sentences are of fails, by no fault of one sentence."""
        for unit in work.units:
            self._book.fail(unit, [error for _ in self._book.places(unit)])

    def _fail(self, work: Work, error: Exception) -> None:
        if self._whole_items:  # which line it was, the model's side has said
            self._fail_all(work, error)
            return
        unit = work.units[0]
        found = [
            prefixed(error, f"{name}, {line_shown(line, unit.text)}")
            for name, line in self._book.places(unit)
        ]
        self._book.fail(unit, found)


def _budget(options: InferenceOptions, about: About) -> Budget:
    """None where the model asks for whole items."""
    if about.whole_items:
        return Budget(None, None)
    return Budget(
        options.max_batch_tokens or about.token_budget or BATCH_TOKENS, options.batch_size
    )


def _is_truncated(unit: Unit, output: Output) -> bool:
    """Whether the model could not read the end of it, or write the end of its translation."""
    return output.truncated or bool(unit.row and unit.row.truncated)
