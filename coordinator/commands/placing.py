"""Where a new batch will run: what its cluster says before anything is dispatched."""

import os
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coordinator.bootstrap import Venue, batch_folder, parents_of
from coordinator.bootstrap.place import NomadPlace, known_uid, nomad_place
from coordinator.errors import ClusterError, CredentialsError, UsageError
from coordinator.pipelines import Pipeline
from coordinator.settings import Settings

if TYPE_CHECKING:
    from coordinator.bootstrap.nomad import Checked

UNKNOWN_LANES = 16  # for thresholds, where nobody knows how many jobs can run at a time


@dataclass(frozen=True)
class Place:
    """Where the jobs run. `lanes`: at a time, 0 = not known."""

    lanes: int
    uid: str
    nomad: NomadPlace
    keeps_jobs: bool = True  # by default, when they are home
    warnings: tuple[str, ...] = ()


def place_of(
    settings: Settings, pipeline: Pipeline | None, output_root: str | None, batch: str | None
) -> Place:
    """Check the cluster, as far as what is asked for is known already; None = it is not.

    Raises:
        UsageError: the cluster does not answer, or will not take the batch's jobs.
    """
    if settings.cluster == "local":
        return Place(
            settings.slots or os.cpu_count() or 1, _uid(settings, batch), nomad_place(settings)
        )
    place = Place(settings.slots or 0, _uid(settings, batch), nomad_place(settings), False)
    try:
        return _on_nomad(settings, place, pipeline, output_root, batch)
    except (ClusterError, CredentialsError) as error:
        raise UsageError(error.what, why=error.why, hint=error.hint) from error


def _uid(settings: Settings, batch: str | None) -> str:
    known = known_uid(batch_folder(settings, batch)) if batch else ""
    return known or uuid.uuid4().hex


def _on_nomad(
    settings: Settings,
    place: Place,
    pipeline: Pipeline | None,
    output_root: str | None,
    batch: str | None,
) -> Place:
    from coordinator.bootstrap.nomad import check, lanes_on, nomad_api, refuse_foreign

    api = nomad_api(settings, place.nomad)
    api.get("status", "leader")
    if pipeline is None or output_root is None or batch is None:
        return place
    job_vars = str(settings.job_vars.absolute()) if settings.job_vars else ""
    venue = Venue(
        "nomad", batch, place.uid, pipeline, output_root, 0, place.nomad, job_vars,
        settings.use_local_creds,
    )  # fmt: skip
    parents = parents_of(venue)
    checked = check(api, parents)
    refuse_foreign(api, parents)
    lanes = place.lanes or lanes_on(api, checked)
    return replace(place, lanes=lanes, warnings=tuple(_warnings(checked, settings, output_root)))


def _warnings(checked: "list[Checked]", settings: Settings, output_root: str) -> list[str]:
    """What Nomad says of the jobs, and what jobs on other machines will not find."""
    said = [f"{each.parent.id}: {text}" for each in checked for text in each.warnings]
    local = [
        f"{what} {where} is a folder of this machine: every node must have it at the same path"
        for what, where in (("--output_root", output_root), ("--model", settings.model))
        if where and "://" not in where
    ]
    return [*dict.fromkeys(said), *local]
