"""Bugs, put into the coordinator by hand one at a time: each has to be found by some seed."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from importlib import resources
from typing import Any
from unittest.mock import patch

from coordinator.cluster import JobId, Observation, Phase, Request
from coordinator.cluster.nomad import tracking
from coordinator.cluster.nomad.api import NomadRefusal
from coordinator.cluster.nomad.cluster import NomadCluster
from coordinator.domain.states import AttemptState
from coordinator.domain.verdicts import Ending, Verdict
from coordinator.engine import Gate, collect
from coordinator.engine.dispatching import Dispatcher
from coordinator.engine.driver import Driver
from coordinator.engine.reconcile import Changes, reconcile
from coordinator.errors import ClusterUnavailable, CredentialsError, JobRefused
from coordinator.ledger import ControlDesk, Dispatch, Ledger, ledger

Bug = Callable[[], AbstractContextManager[Any]]
_GONE = Observation(Phase.ENDED, ending=Ending(gone=True))


def confirm_before_claim() -> AbstractContextManager[Any]:
    """The claim is durable only when the cluster has answered."""
    original = Dispatcher.send_ready

    def send_ready(self: Dispatcher, out: int) -> int:
        with self._ledger.together():
            return original(self, out)

    return patch.object(Dispatcher, "send_ready", send_ready)


def trust_the_id_of_a_repeated_dispatch() -> AbstractContextManager[Any]:
    """The cluster is not told that a token may have been sent before."""
    original = Dispatcher._burst

    def burst(self: Dispatcher, *args: Any, again: bool = False) -> Any:
        return original(self, *args)

    return patch.object(Dispatcher, "_burst", burst)


def trust_what_nomad_answers() -> AbstractContextManager[Any]:
    """After a repetition, the job that Nomad tells of is not looked up."""

    def dispatch(self: NomadCluster, request: Request) -> Any:
        try:
            return JobId(self._asked_to_dispatch(request)["DispatchedJobID"])
        except NomadRefusal as error:
            return JobRefused(str(error))
        except (ClusterUnavailable, CredentialsError) as error:
            return error

    return patch.object(NomadCluster, "_dispatch", dispatch)


def take_a_dead_job_for_an_ended_one() -> AbstractContextManager[Any]:
    """What Nomad calls dead may still run: that its allocations do is not looked at."""
    return patch.object(tracking, "is_over", lambda job, _allocations: job["Status"] == "dead")


def count_a_stopped_job_as_success() -> AbstractContextManager[Any]:
    """A job that was stopped and reads complete has done its work."""
    original = collect.verdict_of

    def verdict_of(outcome: Any, ending: Ending) -> Verdict:
        if outcome is None and ending.stop and ending.exit_code == 0:
            return Verdict(AttemptState.SUCCEEDED)
        return original(outcome, ending)

    return patch.object(collect, "verdict_of", verdict_of)


def purge_before_the_log_is_home() -> AbstractContextManager[Any]:
    original = Driver._collect

    def collected(self: Driver, ended: Sequence[Any]) -> set[int]:
        if not self.batch.keep_jobs:
            self._cluster.purge([JobId(each.dispatch.job_id) for each in ended])
        return original(self, ended)

    return patch.object(Driver, "_collect", collected)


@contextmanager
def retry_without_a_new_token() -> Iterator[None]:
    """The token tells the work apart, not the try; and the ledger does not mind."""
    original = Ledger._write_claims

    def write_claims(self: Ledger, claimed: list[Dispatch], packs: Any, why: str = "") -> None:
        for number, (dispatch, pack) in enumerate(zip(claimed, packs, strict=True)):
            work = f"{dispatch.step} {[attempt.item.id for attempt in pack]}"
            claimed[number] = replace(dispatch, token=hashlib.sha256(work.encode()).hexdigest())
        original(self, claimed, packs, why)

    schema = resources.files("coordinator.ledger").joinpath("schema.sql").read_text()
    careless = schema.replace("token        TEXT NOT NULL UNIQUE", "token TEXT NOT NULL")
    assert careless != schema
    with ExitStack() as stack:
        stack.enter_context(patch.object(Ledger, "_write_claims", write_claims))
        files = stack.enter_context(patch.object(ledger.resources, "files"))
        files.return_value.joinpath.return_value.read_text.return_value = careless
        yield


def forget_the_pause_at_a_resume() -> AbstractContextManager[Any]:
    return patch.object(Ledger, "was_paused", lambda _self: False)


def forget_a_pause_that_somebody_asked_for_at_a_resume() -> AbstractContextManager[Any]:
    """What was asked for before the start is not read."""
    original = ControlDesk.changed

    def changed(self: ControlDesk) -> bool:
        is_first = self._version == -1
        return original(self) and not is_first

    return patch.object(ControlDesk, "changed", changed)


def take_no_answer_for_a_refusal() -> AbstractContextManager[Any]:
    """An error at submission is final."""
    original = Dispatcher._confirm_burst

    def confirmed(self: Dispatcher, burst: Any, results: list[Any]) -> None:
        final = [
            JobRefused(str(each)) if isinstance(each, ClusterUnavailable) else each
            for each in results
        ]
        original(self, burst, final)

    return patch.object(Dispatcher, "_confirm_burst", confirmed)


def believe_any_outcome() -> AbstractContextManager[Any]:
    """Whose outcome it is does not matter."""
    return patch.object(collect, "is_of", lambda _outcome, **_identity: True)


def compare_no_sizes() -> AbstractContextManager[Any]:
    """An outcome is believed whatever became of its files."""
    return patch.object(collect, "has_sizes", lambda _outcome, _sizes: True)


def forget_why_a_job_was_stopped() -> AbstractContextManager[Any]:
    """The reason is not written down before the cluster is asked."""
    return patch.object(Ledger, "set_stop_reason", lambda _self, _dispatch, _reason: None)


def take_silence_for_an_end() -> AbstractContextManager[Any]:
    """Where the cluster does not answer, its jobs are gone."""
    original = Driver._observe

    def observed(self: Driver, tracked: list[Dispatch]) -> Changes:
        try:
            return original(self, tracked)
        except ClusterUnavailable:
            looks = {JobId(dispatch.job_id or ""): _GONE for dispatch in tracked}
            return reconcile(tracked, looks, {})

    return patch.object(Driver, "_observe", observed)


def start_one_too_many() -> AbstractContextManager[Any]:
    """The room below the stop threshold is counted with one item too many."""
    original = Dispatcher._new_packs

    def new_packs(self: Dispatcher, step: int, tally: Any, room: int, most: int) -> list[Any]:
        return original(self, step, tally, room + 1 if room else 0, most)

    return patch.object(Dispatcher, "_new_packs", new_packs)


def publish_when_the_ledger_is_told() -> AbstractContextManager[Any]:
    """The files of a winner are put where readers look only after the ledger's word."""
    original = collect.Collector.collect
    kept = collect.Collector._publish

    def collected(self: Any, *args: Any) -> Any:
        waiting: list[Any] = []
        with patch.object(collect.Collector, "_publish", lambda _self, *what: waiting.append(what)):
            found = original(self, *args)
        for what in waiting:
            kept(self, *what)
        return found

    return patch.object(collect.Collector, "collect", collected)


def leave_scores_beside_newer_translations() -> AbstractContextManager[Any]:
    """What a later step came to before is not removed when an earlier one is done again."""
    return patch.object(Ledger, "replaced_by", lambda _self, _attempt: frozenset())


def wait_for_what_nomad_left_unknown() -> AbstractContextManager[Any]:
    """Nobody asks Nomad to look again at a job whose node was given up."""
    return patch.object(tracking.Tracker, "_have_it_replaced", lambda *_: None)


def let_others_go_with_the_canaries() -> AbstractContextManager[Any]:
    """Only the first dispatch waits for the canaries: what is ready later goes along."""
    original = Dispatcher.update_gate

    def update_gate(self: Dispatcher) -> Gate:
        gate = original(self)
        if self._ledger.out_count():
            self._gate = replace(gate, first=None)
        return gate

    return patch.object(Dispatcher, "update_gate", update_gate)


BUGS: tuple[Bug, ...] = (
    confirm_before_claim,
    trust_the_id_of_a_repeated_dispatch,
    trust_what_nomad_answers,
    take_a_dead_job_for_an_ended_one,
    count_a_stopped_job_as_success,
    purge_before_the_log_is_home,
    retry_without_a_new_token,
    forget_the_pause_at_a_resume,
    forget_a_pause_that_somebody_asked_for_at_a_resume,
    take_no_answer_for_a_refusal,
    believe_any_outcome,
    compare_no_sizes,
    forget_why_a_job_was_stopped,
    take_silence_for_an_end,
    start_one_too_many,
    publish_when_the_ledger_is_told,
    leave_scores_beside_newer_translations,
    wait_for_what_nomad_left_unknown,
    let_others_go_with_the_canaries,
)
