"""Why a job is not placed: busy, or never as the cluster is. Pure, over Nomad's documents."""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Any

Document = Mapping[str, Any]

WAITING = "waiting to be placed"


@dataclass(frozen=True)
class Room:
    """What one node has for jobs."""

    cpu: int  # MHz
    memory_mb: int
    gpus: int


@dataclass(frozen=True)
class Placement:
    """Why a job is pending, and whether waiting can help."""

    why: str = WAITING
    hopeless: bool = False


def placement_of(
    evaluations: Iterable[Document], nodes: Iterable[Document] | None, asked: Room
) -> Placement:
    """The verdict over a pending job.

    Args:
        evaluations: of the job, from the API.
        nodes: the list of nodes with `resources=true`; None = not known.
        asked: what the job asks for.
    """
    blocked = [e for e in evaluations if e.get("FailedTGAllocs")]
    if not blocked:
        return Placement()
    metrics = next(iter(max(blocked, key=lambda e: e["CreateIndex"])["FailedTGAllocs"].values()))
    if not metrics["NodesEvaluated"]:
        return Placement("no eligible node in its datacenters and node pool")
    known = [node for node in nodes or () if node["Status"] != "down"]
    some_away = any(not _is_in_use(node) for node in known)
    if metrics.get("NodesExhausted"):
        if known and not any(_fits(asked, _room(node)) for node in known):
            return Placement(f"no node is large enough: it asks for {_in_words(asked)}", True)
        return Placement(f"all nodes are busy ({_listed(metrics.get('DimensionExhausted') or {})})")
    why = f"no node can run it: {_listed(metrics.get('ConstraintFiltered') or {})}"
    if some_away:
        return Placement(f"{why}; some nodes are draining, ineligible or away")
    return Placement(why, hopeless=True)


def rooms_of(nodes: Iterable[Document]) -> list[Room]:
    """What each ready and eligible node has. `nodes`: the list with `resources=true`."""
    return [_room(node) for node in nodes if _is_in_use(node)]


def _is_in_use(node: Document) -> bool:
    return (node["Status"], node["SchedulingEligibility"]) == ("ready", "eligible")


def tasks_of(job: Document) -> list[Document]:
    """The tasks of a whole job, as the API gives it."""
    return [task for group in job.get("TaskGroups") or () for task in group.get("Tasks") or ()]


def lost_after(job: Document) -> float:
    """Seconds that a node may be away before a whole job's tasks start on another; 0 = none."""
    groups = (group.get("Disconnect") or {} for group in job.get("TaskGroups") or ())
    return max((float(group.get("LostAfter") or 0) / 1e9 for group in groups), default=0.0)


def room_asked_by(job: Document) -> Room:
    """What a whole job asks for, all its tasks together."""
    asked = [task.get("Resources") or {} for task in tasks_of(job)]
    return Room(
        cpu=sum(each.get("CPU") or 0 for each in asked),
        memory_mb=sum(each.get("MemoryMB") or 0 for each in asked),
        gpus=sum(d.get("Count") or 0 for each in asked for d in each.get("Devices") or ()),
    )


def lanes_in(rooms: Iterable[Room], asked: Room) -> int:
    """How many jobs of this size the nodes can run at a time, if nobody else does."""
    return sum(_times(room, asked) for room in rooms)


def _room(node: Document) -> Room:
    has, kept = node.get("NodeResources") or {}, node.get("ReservedResources") or {}
    devices = has.get("Devices") or []
    return Room(
        cpu=_of(has, "Cpu", "CpuShares") - _of(kept, "Cpu", "CpuShares"),
        memory_mb=_of(has, "Memory", "MemoryMB") - _of(kept, "Memory", "MemoryMB"),
        gpus=sum(len(d.get("Instances") or []) for d in devices if d.get("Type") == "gpu"),
    )


def _of(resources: Document, kind: str, unit: str) -> int:
    return int((resources.get(kind) or {}).get(unit) or 0)


def _fits(asked: Room, room: Room) -> bool:
    return _times(room, asked) > 0


def _times(room: Room, asked: Room) -> int:
    pairs = zip(astuple(room), astuple(asked), strict=True)
    return max(0, min((has // wants for has, wants in pairs if wants), default=0))


def _listed(reasons: Mapping[str, int]) -> str:
    nodes = {why: f"{count} node{'' if count == 1 else 's'}" for why, count in reasons.items()}
    return ", ".join(f"{why} on {nodes[why]}" for why in sorted(nodes)) or "unknown"


def _in_words(room: Room) -> str:
    gpus = f", {room.gpus} GPUs" if room.gpus else ""
    return f"{room.cpu:,} MHz, {room.memory_mb:,} MB{gpus}"
