"""Assembly of what runs on Nomad. Import it only where something does: its client takes long."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from coordinator.bootstrap.place import NomadPlace
from coordinator.cluster import Resources
from coordinator.cluster.nomad.api import NomadAddress, NomadApi
from coordinator.cluster.nomad.hcl import Value
from coordinator.cluster.nomad.job_files import (
    NOTHING,
    SourceText,
    read_source,
    shipped_job_file,
    source_of_mapping,
)
from coordinator.cluster.nomad.parents import Checked, Parent, check, refuse_foreign, register
from coordinator.cluster.nomad.placement import lanes_in, room_asked_by, rooms_of
from coordinator.errors import CredentialsError
from coordinator.pipelines import NomadPart, Pipeline, Step
from coordinator.secrecy import Secret
from coordinator.settings import Settings

__all__ = ["Checked", "Parent", "check", "refuse_foreign", "register"]

_PLACES = ("region", "namespace", "node_pool", "datacenters")


def nomad_parents(
    pipeline: Pipeline,
    batch: str,
    uid: str,
    output_root: str,
    *,
    place: NomadPlace,
    environment: Mapping[str, str],
    job_vars: Path | None = None,
    credentials: bool = False,
) -> list[Parent]:
    """The parameterized jobs of a batch, one for each step and memory size.

    `output_root` is absolute, as the jobs shall open it; `environment` holds nothing secret;
    `job_vars` fills the job files of steps for which the pipeline file names no variables.
    Raises BadInput where one of these files cannot be read.
    """
    common = Parent(
        batch=batch,
        uid=uid,
        step="",
        resources=Resources(),
        output_root=output_root,
        job_file=NOTHING,
        namespace=place.namespace,
        region=place.region,
        credentials=credentials,
        environment=environment,
        python=sys.executable,
    )
    return [
        sized
        for step in pipeline.steps
        for sized in _sizes(_of_step(common, step, pipeline.nomad_of(step), job_vars), step)
    ]


def _of_step(common: Parent, step: Step, part: NomadPart, job_vars: Path | None) -> Parent:
    places = {name: getattr(part, name) for name in _PLACES if getattr(part, name)}
    job_file = read_source(part.job_file or shipped_job_file(step.job))
    variables = _variables(part.vars if part.vars is not None else job_vars, step)
    return replace(common, step=step.name, job_file=job_file, variables=variables, **places)


def _variables(given: Path | Mapping[str, Value] | None, step: Step) -> SourceText:
    if given is None:
        return NOTHING
    if isinstance(given, Path):
        return read_source(given)
    return source_of_mapping(given, f"nomad.vars of step {step.name}")


def _sizes(parent: Parent, step: Step) -> Iterator[Parent]:
    asked = step.resources
    for index, memory in enumerate(asked.memory_mb):
        resources = Resources(asked.cpu, memory, asked.gpus)
        yield replace(parent, resources=resources, memory_step=index)


def nomad_api(settings: Settings, place: NomadPlace) -> NomadApi:
    """The API there. Token and certificates come from Nomad's own variables or secrets.env."""
    secret = settings.secrets.get("NOMAD_TOKEN")
    cert, key = (os.environ.get(f"NOMAD_CLIENT_{name}", "") for name in ("CERT", "KEY"))
    return NomadApi(
        NomadAddress(
            address=place.address,
            namespace=place.namespace,
            region=place.region,
            token=Secret(os.environ.get("NOMAD_TOKEN") or secret or ""),
            ca_file=os.environ.get("NOMAD_CACERT", ""),
            client_cert=(cert, key) if cert and key else None,
        )
    )


def lanes_on(api: NomadApi, checked: Sequence[Checked]) -> int:
    """How many jobs of the largest step the nodes could run at a time; 0 = not known."""
    try:
        rooms = rooms_of(api.get("nodes", resources="true"))
    except CredentialsError:  # reading nodes is a right of its own
        return 0
    return min(lanes_in(rooms, room_asked_by(each.job)) for each in checked)
