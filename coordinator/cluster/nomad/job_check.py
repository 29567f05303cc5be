"""What the coordinator needs of a job, whoever wrote its file; all that is wrong at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from coordinator.errors import Problem

HANDOFF = (
    "handoff"  # the key of the handoff file: the only thing that differs from dispatch to dispatch
)

_SHELLS = {"sh", "bash", "dash", "zsh", "ksh"}
_Json = Mapping[str, Any]
_Fault = tuple[str, str, str]  # what, why it cannot be, what to write instead


@dataclass(frozen=True)
class Wanted:
    """What the job must have come out as, its variables filled in."""

    job_id: str
    namespace: str
    region: str  # "" = any
    meta: Mapping[str, str]
    memory_mb: int
    gpus: int


def job_problems(job: _Json, wanted: Wanted, where: str) -> list[Problem]:
    """Every reason why `job`, as Nomad's parse API gives it, cannot be dispatched by us."""
    groups = job.get("TaskGroups") or []
    faults = [*_of_job(job, wanted), *_of_dispatching(job), *_of_meta(job, wanted)]
    if len(groups) != 1:
        faults.append(("group", f"there are {len(groups)}", "one group: a dispatch is one job"))
    for group in groups:
        faults += [*_of_group(group), *_of_disk(group), *_of_tasks(group, wanted)]
    return [Problem(where, why, f"write {fix}", what) for what, why, fix in faults]


def _of_job(job: _Json, wanted: Wanted) -> Iterator[_Fault]:
    if job.get("ID") != wanted.job_id:
        yield "job.id", "each batch and step has a job of its own", "id = var.job_id"
    if job.get("Type") != "batch":
        yield "job.type", f"{job.get('Type')} jobs do not end", 'type = "batch"'
    if job.get("Namespace") != wanted.namespace:
        yield "job.namespace", f"it is not {wanted.namespace}", "namespace = var.namespace"
    if wanted.region and job.get("Region") != wanted.region:
        yield "job.region", f"it is not {wanted.region}", "region = var.region"
    if job.get("Periodic"):
        yield "job.periodic", "the coordinator alone starts jobs", "no periodic block"
    if job.get("Multiregion"):
        yield "job.multiregion", "a batch runs in one region", "no multiregion block"


def _of_dispatching(job: _Json) -> Iterator[_Fault]:
    parameters = job.get("ParameterizedJob")
    if not parameters:
        yield "job.parameterized", "it is missing", _PARAMETERIZED
        return
    needed = set(parameters.get("MetaRequired") or ())
    if HANDOFF not in needed | set(parameters.get("MetaOptional") or ()):
        yield "parameterized.meta_required", f"{HANDOFF} is not taken", _PARAMETERIZED
    if others := sorted(needed - {HANDOFF}):
        why = f"nothing gives {', '.join(others)}"
        yield "parameterized.meta_required", why, f'meta_required = ["{HANDOFF}"]'
    if parameters.get("Payload") == "required":
        yield "parameterized.payload", "there never is one", 'payload = "forbidden"'


_PARAMETERIZED = f'parameterized {{ payload = "forbidden", meta_required = ["{HANDOFF}"] }}'


def _of_meta(job: _Json, wanted: Wanted) -> Iterator[_Fault]:
    meta = job.get("Meta") or {}
    for key, value in wanted.meta.items():
        if meta.get(key) != value:
            variable = key.removeprefix("coordinator_")
            why = "it differs from the batch's" if key in meta else "it is missing"
            yield f"job.meta.{key}", why, f"{key} = var.{variable}"


def _of_group(group: _Json) -> Iterator[_Fault]:
    if group.get("Count") != 1:
        yield "group.count", f"it is {group.get('Count')}", "count = 1"
    yield from _of_restart("group.restart", group.get("RestartPolicy") or {})
    again = group.get("ReschedulePolicy") or {}
    if again.get("Attempts") != 0 or again.get("Unlimited"):
        fix = "reschedule { attempts = 0, unlimited = false }"
        yield "group.reschedule", "the coordinator retries, Nomad must not", fix
    gone = group.get("Disconnect")
    if not gone or gone.get("Replace") is not False or not gone.get("LostAfter"):
        fix = 'disconnect { lost_after = "5m", replace = false }'
        yield "group.disconnect", "a node away for a moment would have its jobs run twice", fix


def _of_restart(what: str, policy: _Json) -> Iterator[_Fault]:
    if policy.get("Attempts") != 0 or policy.get("Mode") != "fail":
        fix = 'restart { attempts = 0, mode = "fail" }'
        yield what, "the coordinator retries, Nomad must not", fix


def _of_disk(group: _Json) -> Iterator[_Fault]:
    """Both streams of every task lie on the group's disk, all their files full."""
    logs = [task.get("LogConfig") or {} for task in group.get("Tasks") or []]
    sizes = (log.get("MaxFiles", 0) * log.get("MaxFileSizeMB", 0) for log in logs)
    needed, disk = 2 * sum(sizes), (group.get("EphemeralDisk") or {}).get("SizeMB", 0)
    if needed >= disk:
        why = f"logs may grow to {needed} MB, the disk has {disk} MB"
        yield (
            "group.ephemeral_disk",
            why,
            f"ephemeral_disk {{ size = {needed + 100} }}, or less logs",
        )


def _of_tasks(group: _Json, wanted: Wanted) -> Iterator[_Fault]:
    tasks = group.get("Tasks") or []
    main = [task for task in tasks if not task.get("Lifecycle")]
    if len(main) != 1:
        yield "task", f"{len(main)} of the tasks are main tasks", "one task without lifecycle"
    for task in tasks:
        yield from _of_task(task)
    for task in main[:1]:
        yield from _of_stopping(task)
        yield from _of_resources(task, wanted)


def _of_task(task: _Json) -> Iterator[_Fault]:
    name = f"task.{task.get('Name')}"
    if task.get("RestartPolicy"):
        yield from _of_restart(f"{name}.restart", task["RestartPolicy"])
    if any(each.get("ChangeMode") != "noop" for each in task.get("Templates") or []):
        why = "a changed template would end the running job"
        yield f"{name}.template", why, 'change_mode = "noop"'


def _of_stopping(task: _Json) -> Iterator[_Fault]:
    name, config = f"task.{task.get('Name')}", task.get("Config") or {}
    if task.get("KillSignal") not in ("SIGTERM", "SIGINT", "", None):
        why = f"the worker does not know {task['KillSignal']}"
        yield f"{name}.kill_signal", why, 'kill_signal = "SIGTERM"'
    if not task.get("KillTimeout"):
        why = "the item in hand could not be finished"
        yield f"{name}.kill_timeout", why, 'kill_timeout = "30s"'
    script = " ".join(map(str, config.get("args") or ()))
    if PurePosixPath(str(config.get("command"))).name in _SHELLS and "exec " not in script:
        why = "a shell does not hand signals on to the worker"
        yield f"{name}.config", why, "the worker itself as command, or `exec` before it"


def _of_resources(task: _Json, wanted: Wanted) -> Iterator[_Fault]:
    name, resources = f"task.{task.get('Name')}", task.get("Resources") or {}
    if resources.get("MemoryMB") != wanted.memory_mb:
        why = f"it is not the {wanted.memory_mb} MB of the pipeline file"
        yield f"{name}.resources.memory", why, "memory = var.memory_mb"
    devices = sum(each.get("Count") or 0 for each in resources.get("Devices") or [])
    if devices != wanted.gpus:
        why = f"{devices} devices for the {wanted.gpus} GPUs of the pipeline file"
        yield f"{name}.resources.device", why, 'a device "nvidia/gpu" block with count = var.gpus'
