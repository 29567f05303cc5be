"""Assembly of what runs on Nomad."""

import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

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
from coordinator.pipelines import NomadPart, Pipeline, Step

__all__ = ["Checked", "Parent", "check", "refuse_foreign", "register"]

_PLACES = ("region", "namespace", "node_pool", "datacenters")


def nomad_parents(
    pipeline: Pipeline,
    batch: str,
    uid: str,
    output_root: str,
    *,
    address: NomadAddress,
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
        namespace=address.namespace,
        region=address.region,
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


def batch_uid(folder: Path) -> str:
    """What tells the batch in `folder` from others of its name; made when first asked for."""
    path = folder / "uid"
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), path.open("x") as file:
        file.write(uuid.uuid4().hex)
    return path.read_text()


def nomad_address() -> NomadAddress:
    """Where Nomad is, from its own environment variables."""
    given = os.environ
    return NomadAddress(
        address=given.get("NOMAD_ADDR") or "http://127.0.0.1:4646",
        namespace=given.get("NOMAD_NAMESPACE") or "default",
        region=given.get("NOMAD_REGION", ""),
        token=given.get("NOMAD_TOKEN", ""),
        ca_file=given.get("NOMAD_CACERT", ""),
    )


def nomad_api() -> NomadApi:
    return NomadApi(nomad_address())
