"""`register-jobs`: the parameterized jobs of a batch on Nomad, without dispatching anything."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coordinator.bootstrap import Venue, batch_folder, parents_of
from coordinator.bootstrap.place import batch_uid, nomad_place
from coordinator.errors import UsageError
from coordinator.pipelines import read_pipeline
from coordinator.settings import Settings
from coordinator.storage import open_storage

if TYPE_CHECKING:
    from coordinator.bootstrap.nomad import Checked


@dataclass(frozen=True)
class Registered:
    """The jobs of a batch, and those among them that were registered or changed just now."""

    batch: str
    jobs: "tuple[Checked, ...]"
    changed: frozenset[str]

    def to_json(self) -> dict[str, Any]:
        return {"batch": self.batch, "jobs": [self._job(each) for each in self.jobs]}

    def _job(self, checked: "Checked") -> dict[str, Any]:
        parent = checked.parent
        return {
            "id": parent.id,
            "step": parent.step,
            "namespace": parent.namespace,
            "memory_mb": parent.resources.memory_mb,
            "job_file": parent.job_file.name,
            "variables": parent.variables.name,
            "changed": parent.id in self.changed,
            "warnings": list(checked.warnings),
        }


def register_jobs(
    settings: Settings, batch: str, output_root: str | None, *, dry_run: bool
) -> Registered:
    """Check the jobs that the pipeline's steps need, and register them. Repeatable.

    Raises:
        UsageError: files that cannot be used, with all their faults; a name that another has.
        ClusterUnavailable, CredentialsError: Nomad does not answer, or refuses the token.
    """
    from coordinator.bootstrap.nomad import check, nomad_api, refuse_foreign, register

    if settings.pipeline is None:
        raise UsageError("no pipeline was given", hint="--pipeline FILE")
    pipeline = read_pipeline(settings.pipeline)
    venue = Venue(
        cluster="nomad",
        batch=batch,
        uid=batch_uid(batch_folder(settings, batch)),
        pipeline=pipeline,
        output_root=open_storage(output_root or pipeline.output_root or settings.output_root).uri,
        slots=0,
        nomad=nomad_place(settings),
        job_vars=str(settings.job_vars or ""),
    )
    parents = parents_of(venue)
    api = nomad_api(settings, venue.nomad)
    checked = check(api, parents)
    if dry_run:
        refuse_foreign(api, parents)
    changed = [] if dry_run else register(api, parents)
    return Registered(batch, tuple(checked), frozenset(changed))
