"""What is known of an item that is with the cluster; asked of a far one for a few seconds only."""

import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from coordinator.bootstrap import look_at_job
from coordinator.cluster import JobId, Observation, Phase
from coordinator.commands.reasons import Reason
from coordinator.commands.record import BatchRecord
from coordinator.domain.paths import BatchKeys
from coordinator.domain.states import AttemptState as S
from coordinator.errors import CoordinatorError
from coordinator.ledger import Dispatch, Ledger
from coordinator.settings import Settings
from coordinator.storage import open_storage

ANSWER_SECONDS = 5.0  # that a cluster or a store has, each
_T = TypeVar("_T")


class _NoAnswer(CoordinatorError):
    """It took too long."""


def out_there(
    settings: Settings,
    record: BatchRecord,
    ledger: Ledger,
    dispatch: Dispatch,
    row: dict[str, Any],
) -> Iterator[Reason]:
    """Why the item's job does not run yet, or how far it is.

    `row` is the newest attempt of the item, which `dispatch` carries.
    """
    if dispatch.state is S.CLAIMED:
        yield Reason(
            "claimed",
            f"it is about to be sent, in {dispatch.name}; the cluster may have it already",
            "a driven batch finds out within seconds",
        )
        return
    yield _standing(settings, record, dispatch, row["item_id"])
    if dispatch.size > 1 and dispatch.state is S.RUNNING:
        yield _in_its_pack(record, ledger, dispatch, row)


def _standing(settings: Settings, record: BatchRecord, dispatch: Dispatch, item: str) -> Reason:
    """Where its job stands, by the cluster's word if that can be had."""
    watch = f"coordinator logs {record.batch} {item} --follow"
    if record.cluster == "local":
        return _by_ledger(record, dispatch, watch)
    try:
        job = JobId(dispatch.job_id or "")
        seen = _within(lambda: look_at_job(settings, record.venue, job))
    except CoordinatorError as error:
        known = _by_ledger(record, dispatch, watch)
        said = f"{known.what}, by the ledger; Nomad could not be asked: {error}"
        return Reason(known.name, said, known.change)
    return _by_cluster(dispatch, seen, watch)


def _by_ledger(record: BatchRecord, dispatch: Dispatch, watch: str) -> Reason:
    since = _moment(dispatch.submitted_at or dispatch.claimed_at)
    if dispatch.state is S.RUNNING:
        node = f" on {dispatch.node}" if dispatch.node else ""
        return Reason("running", f"{dispatch.name} runs{node}, sent at {since}", watch)
    return Reason(
        "submitted",
        f"{dispatch.name} was sent at {since} and is not known to run yet",
        "it runs when a slot is free" if record.cluster == "local" else "",
    )


def _by_cluster(dispatch: Dispatch, seen: Observation, watch: str) -> Reason:
    if seen.phase is Phase.RUNNING:
        place = f"on {seen.node} for {seen.running_seconds:,.0f} s"
        return Reason("running", f"{dispatch.name} runs {place}, says Nomad", watch)
    if seen.phase is Phase.ENDED:
        return Reason(
            "ended",
            f"{dispatch.name} has ended, says Nomad; it is not home yet",
            "whoever drives the batch brings it home",
        )
    if seen.hopeless:
        return Reason(
            "placement",
            f"Nomad can never place {dispatch.name} as the cluster is: {seen.detail}",
            "ask for less, or for other nodes, in the pipeline file of a new batch; or add a node",
        )
    return Reason(
        "placement",
        f"Nomad has {dispatch.name} and does not run it yet: {seen.detail}",
        "it runs when that has changed; coordinator doctor --cluster nomad looks at the cluster",
    )


def _in_its_pack(
    record: BatchRecord, ledger: Ledger, dispatch: Dispatch, row: dict[str, Any]
) -> Reason:
    """How far the pack is with this very item, by what its worker has written."""
    more = dispatch.size - 1
    others = f"its job carries {more:,} other item{'' if more == 1 else 's'}"
    keys = BatchKeys(record.batch).attempt(
        row["item_id"], record.steps[dispatch.step], row["number"]
    )
    try:
        ended, begun = _within(lambda: _written(record, keys.outcome, keys.begun))
    except CoordinatorError as error:
        return Reason("pack", f"{others}; the store does not say how far this one is: {error}")
    if ended:
        return Reason("pack", f"{others}; this one is done, and comes home when all are")
    if begun:
        return Reason("pack", f"{others}; this one is being worked on")
    return Reason("pack", f"{others}; this one was not begun yet")


def _written(record: BatchRecord, *keys: str) -> list[bool]:
    storage = open_storage(record.output_root)
    return [storage.size(key) is not None for key in keys]


def _within(ask: Callable[[], _T]) -> _T:
    """The answer, if it comes soon; whoever is slow is left behind.

    Raises:
        CoordinatorError: it failed, or did not come.
    """
    answers: SimpleQueue[tuple[_T | None, CoordinatorError | None]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((ask(), None))
        except CoordinatorError as error:
            answers.put((None, error))
        except Exception as error:  # whatever it is, whoever asked has a right to an answer
            answers.put((None, _NoAnswer(f"{type(error).__name__}: {error}")))

    Thread(target=run, daemon=True).start()
    try:
        answer, error = answers.get(timeout=ANSWER_SECONDS)
    except Empty:
        raise _NoAnswer(f"no answer within {ANSWER_SECONDS:g} s") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]


def _moment(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
