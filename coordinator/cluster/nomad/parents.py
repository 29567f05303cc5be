"""Parents: the parameterized jobs of a batch, one for each step and memory size."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coordinator.cluster.base import Resources
from coordinator.cluster.nomad.api import NomadApi, NomadRefusal
from coordinator.cluster.nomad.hcl import Value
from coordinator.cluster.nomad.job_check import Wanted, job_problems
from coordinator.cluster.nomad.job_files import (
    NOTHING,
    SourceText,
    variable_problems,
    variables_text,
)
from coordinator.errors import BadInput, BatchExists, ClusterUnavailable, Problem

_DIGEST = "coordinator_digest"  # of the job as it was registered: tells whether anything changed
_REFUSED = "Enforcing job modify index"  # somebody else registered or changed it meanwhile


def parent_id(batch: str, step: str, memory_step: int = 0) -> str:
    """The parent's job ID: `<batch>--<step>`, with `~m<k>` for the k-th larger memory size.

    Keys lie in the Nomad Variable `nomad/jobs/<ID>`, whose path may hold no dot: a `~`, which no
    batch has in its name, stands for it. So no two batches, steps and sizes give the same.
    """
    larger = f"~m{memory_step}" if memory_step else ""
    return f"{job_prefix(batch)}{step}{larger}"


def job_prefix(batch: str) -> str:
    """What the ids of all jobs of a batch begin with, and those of no other batch."""
    return f"{batch.replace('.', '~')}--"


def lock_path(batch: str) -> str:
    """The path of the Nomad Variable whose lock the batch's driver holds."""
    return f"coordinator/batches/{batch.replace('.', '~')}"


@dataclass(frozen=True)
class Parent:
    """A parent as it shall be. `namespace` and `region`: where; region "" = the agent's."""

    batch: str
    uid: str  # of the batch; tells two of one name apart
    step: str
    resources: Resources
    output_root: str
    job_file: SourceText
    variables: SourceText = NOTHING  # the user's
    memory_step: int = 0  # index into the step's memory sizes
    namespace: str = "default"
    region: str = ""
    node_pool: str = ""  # "" = the job file says it
    datacenters: tuple[str, ...] = ()  # () = the job file says it
    credentials: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)  # nothing secret
    python: str = ""  # the coordinator's own interpreter

    @property
    def id(self) -> str:
        return parent_id(self.batch, self.step, self.memory_step)

    @property
    def where(self) -> dict[str, str]:
        """The query parameters of every request about it."""
        region = {"region": self.region} if self.region else {}
        return {"namespace": self.namespace, **region}

    @property
    def meta(self) -> dict[str, str]:
        return {
            "coordinator_batch": self.batch,
            "coordinator_uid": self.uid,
            "coordinator_step": self.step,
            "output_root": self.output_root,
        }

    @property
    def own_variables(self) -> dict[str, Value]:
        """The variables that the coordinator sets."""
        values: dict[str, Value] = {
            "job_id": self.id,
            "batch": self.batch,
            "uid": self.uid,
            "step": self.step,
            "output_root": self.output_root,
            "cpu": self.resources.cpu,
            "memory_mb": self.resources.memory_mb,
            "gpus": self.resources.gpus,
            "namespace": self.namespace,
            "credentials": self.credentials,
            "worker_environment": self.environment,
            "own_python": self.python,
        }
        chosen: dict[str, Value] = {
            "region": self.region,
            "node_pool": self.node_pool,
            "datacenters": self.datacenters,
        }
        return values | {name: value for name, value in chosen.items() if value}

    @property
    def wanted(self) -> Wanted:
        asked = self.resources
        return Wanted(self.id, self.namespace, self.region, self.meta, asked.memory_mb, asked.gpus)


@dataclass(frozen=True)
class Checked:
    """A parent, and the job that its file came out as."""

    parent: Parent
    job: dict[str, Any]  # as the API takes it
    variables: str  # that filled it
    warnings: tuple[str, ...] = ()  # Nomad's

    @property
    def digest(self) -> str:
        return str(self.job["Meta"][_DIGEST])


def register(api: NomadApi, parents: Sequence[Parent]) -> list[str]:
    """Register what is not there yet or has changed. Repeatable. The IDs that were registered.

    Raises:
        BadInput: job files or variables that cannot be used; every fault of them all.
        BatchExists: one of the IDs is another batch's. Nothing was registered.
        ClusterUnavailable, CredentialsError: see NomadApi.
    """
    checked = check(api, parents)
    known = refuse_foreign(api, parents)
    return [each.parent.id for each in checked if _registered(api, each, known[each.parent.id])]


def check(api: NomadApi, parents: Sequence[Parent]) -> list[Checked]:
    """Let Nomad parse and validate the jobs, and check them. Registers nothing. Raises BadInput."""
    problems: list[Problem] = []
    checked = [_checked(api, parent, problems) for parent in parents]
    if problems:
        raise BadInput(
            "the jobs cannot be registered",
            problems=list(dict.fromkeys(problems)),  # sizes of one step have their faults in common
            hint="docs/job-sizing-guide.md says what a job file must hold",
        )
    return [each for each in checked if each]


def refuse_foreign(api: NomadApi, parents: Sequence[Parent]) -> dict[str, Any]:
    """What Nomad has under the parents' IDs, None = nothing. Raises BatchExists if not ours."""
    known = {p.id: api.get_or_none("job", p.id, **p.where) for p in parents}
    problems = [_foreign(p, known[p.id] or {}) for p in parents if not _is_ours(p, known[p.id])]
    if problems:
        raise BatchExists(
            f"jobs of another batch {parents[0].batch} are on the cluster",
            why="its uid differs: it is somebody else's, or was begun from another state folder",
            hint="choose another --batch_name; theirs are left as they are",
            problems=problems,
        )
    return known


def remove(api: NomadApi, parents: Sequence[Parent]) -> list[str]:
    """Purge those of the parents that are there and ours. Repeatable. The IDs that were purged."""
    known = [api.get_or_none("job", p.id, **p.where) for p in parents]
    ours = [p for p, job in zip(parents, known, strict=True) if job and _is_ours(p, job)]
    for parent in ours:
        api.delete("job", parent.id, purge="true", **parent.where)
    return [parent.id for parent in ours]


def _checked(api: NomadApi, parent: Parent, problems: list[Problem]) -> Checked | None:
    """The parent's job, or None with what is wrong added to `problems`."""
    own = set(parent.own_variables)
    found = [*variable_problems(parent.job_file, parent.variables, own), *_unwritable(parent)]
    text = variables_text(parent.job_file, parent.variables, parent.own_variables)
    body = {"JobHCL": parent.job_file.text, "Canonicalize": True, "Variables": text}
    try:
        job = api.post("jobs", "parse", json=body, **parent.where)
    except NomadRefusal as error:
        problems += [*found, Problem(parent.job_file.name, error.why)]
        return None
    verdict = api.post("validate", "job", json={"Job": job}, **parent.where)
    errors = verdict.get("ValidationErrors") or ()
    found += [Problem(parent.job_file.name, each) for each in errors]
    found += job_problems(job, parent.wanted, parent.job_file.name)
    problems += found
    if found:
        return None
    job["Meta"][_DIGEST] = _digest_of(job)
    warnings = str(verdict.get("Warnings") or "").split("\n")
    return Checked(parent, job, text, tuple(filter(None, warnings)))


def _unwritable(parent: Parent) -> list[Problem]:
    """Nomad puts its own variables into meta where it finds `${`: no location may hold that."""
    if "${" not in parent.output_root:
        return []
    return [Problem("--output_root", "Nomad would replace what follows ${", "use another name")]


def _digest_of(job: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()


def _registered(api: NomadApi, checked: Checked, known: Any) -> bool:
    """Register the job unless it is there as it shall be; whether that was needed."""
    if known and not known.get("Stop") and known["Meta"].get(_DIGEST) == checked.digest:
        return False
    parent = checked.parent
    source = {
        "Source": parent.job_file.text,
        "Format": "hcl2",
        "Variables": checked.variables,
    }
    body = {
        "Job": checked.job,
        "Submission": source,
        "EnforceIndex": True,
        "JobModifyIndex": known["JobModifyIndex"] if known else 0,
    }
    try:
        api.put("jobs", json=body, **parent.where)
    except NomadRefusal as error:
        raise _why_refused(error, parent) from error
    return True


def _why_refused(error: NomadRefusal, parent: Parent) -> Exception:
    if _REFUSED in error.why:
        return ClusterUnavailable(
            f"job {parent.id} was registered by another just now", why=error.why, hint="try again"
        )
    problem = Problem(parent.job_file.name, error.why)
    return BadInput(f"Nomad refuses job {parent.id}", problems=[problem])


def _is_ours(parent: Parent, known: Any) -> bool:
    return not known or (known.get("Meta") or {}).get("coordinator_uid") == parent.uid


def _foreign(parent: Parent, known: Mapping[str, Any]) -> Problem:
    meta = known.get("Meta") or {}
    batch = meta.get("coordinator_batch")
    if batch is None:
        return Problem(f"job {parent.id}", "it was not registered by a coordinator")
    return Problem(
        f"job {parent.id}", f"of batch {batch!r} with uid {meta.get('coordinator_uid')!r}"
    )
