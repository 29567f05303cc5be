"""What has changed between the ledger's picture and the cluster's. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from coordinator.cluster import JobId, Observation, Phase
from coordinator.domain.states import AttemptState
from coordinator.domain.verdicts import Ending
from coordinator.ledger import Dispatch

# Of a dispatch that was sent by an earlier run, and whose job the cluster no longer has.
_FORGOTTEN = Observation(
    Phase.ENDED, ending=Ending(gone=True, detail="the cluster no longer knows the job")
)


@dataclass(frozen=True)
class Ended:
    """A dispatch that the cluster says has ended."""

    dispatch: Dispatch
    ending: Ending
    node: str


@dataclass(frozen=True)
class Changes:
    """What the tick has to do about the dispatches that are out."""

    running: tuple[Dispatch, ...]  # seen to run for the first time
    ended: tuple[Ended, ...]
    slow: tuple[tuple[Dispatch, float], ...]  # past their limit, with the seconds they ran
    nodes: Mapping[int, str]  # of those that run: dispatch -> where
    hopeless: str  # why something can never be placed as the cluster is; "" = nothing is so


def reconcile(
    out: Iterable[Dispatch],
    seen: Mapping[JobId, Observation],
    limits: Mapping[int, float],
) -> Changes:
    """Compare. `limits`: dispatch -> seconds that it may run for now.

    A dispatch that was not observed does not change: silence proves nothing. One that has no job
    was looked for before, and is gone.
    """
    running, ended, slow, nodes, hopeless = [], [], [], {}, ""
    for dispatch in out:
        look = seen.get(JobId(dispatch.job_id)) if dispatch.job_id else _FORGOTTEN
        if look is None:
            continue
        if look.ending is not None:
            ended.append(Ended(dispatch, look.ending, look.node))
        elif look.hopeless:
            hopeless = f"{dispatch.name} can never be placed: {look.detail}"
        elif look.phase is Phase.RUNNING:
            nodes[dispatch.id] = look.node
            if dispatch.state is AttemptState.SUBMITTED:
                running.append(dispatch)
            if look.running_seconds > limits[dispatch.id]:
                slow.append((dispatch, look.running_seconds))
    return Changes(tuple(running), tuple(ended), tuple(slow), nodes, hopeless)
