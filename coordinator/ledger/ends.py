"""What the end of dispatches changes, as rows for the statements that change it. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coordinator.domain.states import AttemptState
from coordinator.ledger.rows import AttemptEnd, Dispatch, Finish, NextStep, Retry, files_json

Row = list[object]


@dataclass(frozen=True)
class DispatchEnd:
    """The end of a dispatch: of every one of its attempts."""

    dispatch: Dispatch
    ends: tuple[AttemptEnd, ...]
    why: str = ""

    @property
    def state(self) -> AttemptState:
        """The state that it is in until then."""
        assert self.dispatch.state is not None
        return self.dispatch.state


def ended_attempts(ended: Sequence[DispatchEnd]) -> list[Row]:
    return [
        [
            end.attempt.id,
            one.dispatch.id,
            one.state,
            end.state,
            end.kind,
            _storable(end.reason),
            files_json(end.files),
        ]
        for one in ended
        for end in one.ends
    ]


def ended_dispatches(ended: Sequence[DispatchEnd]) -> list[Row]:
    return [[one.dispatch.id, one.state] for one in ended]


def finished_items(ended: Sequence[DispatchEnd]) -> list[Row]:
    return [
        [end.attempt.seq, end.sequel.state, end.sequel.kind]
        for end in _ends(ended)
        if isinstance(end.sequel, Finish)
    ]


def advanced_items(ended: Sequence[DispatchEnd]) -> list[Row]:
    return [
        [end.attempt.seq, end.attempt.step + 1]
        for end in _ends(ended)
        if isinstance(end.sequel, NextStep)
    ]


def new_attempts(ended: Sequence[DispatchEnd], now: float) -> list[Row]:
    """Item, step, round, sort key, memory step and the moment before which it does not go."""
    return [row for end in _ends(ended) if (row := _new_attempt(end, now))]


def _new_attempt(end: AttemptEnd, now: float) -> Row | None:
    old = end.attempt
    match end.sequel:
        case NextStep(sort_key):
            return [old.seq, old.step + 1, old.round, _storable(sort_key), 0, 0.0]
        case Retry(wait, memory_step):
            not_before = now + wait if wait else 0.0
            return [old.seq, old.step, old.round, old.sort_key, memory_step, not_before]
        case Finish():
            return None


def events_of_ends(ended: Sequence[DispatchEnd]) -> list[Row]:
    """Of each dispatch those of its attempts, then its own."""
    return [row for one in ended for row in _events(one)]


def _events(one: DispatchEnd) -> Iterator[Row]:
    number, old = one.dispatch.id, one.state
    for end in one.ends:
        yield [end.state, number, end.attempt.id, old, end.state, _storable(end.reason)]
    yield ["ended", number, None, old, "ended", _storable(one.why)]


def _ends(ended: Sequence[DispatchEnd]) -> Iterator[AttemptEnd]:
    return (end for one in ended for end in one.ends)


def _storable(text: str) -> str:
    """As SQLite's JSON can take it: it would end a text at a NUL, and keep half characters."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
