"""One job, asked anew: for whoever wonders about it, and drives nothing."""

import time
from collections.abc import Callable

from coordinator.cluster.base import JobId, Observation, Phase
from coordinator.cluster.nomad.api import NomadApi
from coordinator.cluster.nomad.endings import Started, ending_of, is_over, started
from coordinator.cluster.nomad.placement import Placement
from coordinator.cluster.nomad.tracking import GONE, Site, seconds_of


def look_at(
    api: NomadApi, job: JobId, site: Site, placement_of: Callable[[JobId], Placement]
) -> Observation:
    """Where a job stands, by its own documents alone: however many others the batch has.

    Raises:
        ClusterUnavailable, CredentialsError: nothing may be concluded.
    """
    whole = api.get_or_none("job", job, **site.where)
    if whole is None:
        return GONE
    allocations = api.get_all("job", job, "allocations", **site.where)
    run = started(allocations, site.main_task)
    if is_over(whole, allocations):
        ending = ending_of(whole, allocations, site.main_task)
        return Observation(Phase.ENDED, node=run.node if run else "", ending=ending)
    if run is None:
        placement = placement_of(job)
        return Observation(Phase.PENDING, detail=placement.why, hopeless=placement.hopeless)
    return _placed(run)


def _placed(run: Started) -> Observation:
    if not run.started_at:
        detail = run.waits_for or f"on {run.node}, not started yet"
        return Observation(Phase.PENDING, node=run.node, detail=detail)
    seconds = max(0.0, time.time() - seconds_of(run.started_at))  # as far as clocks agree
    return Observation(Phase.RUNNING, seconds, run.node)
