"""Why a job is not placed: busy, or never as the cluster is. Pure, over Nomad's documents."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.cluster.base import Resources

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
    evaluations: Iterable[Document], rooms: Sequence[Room] | None, asked: Room
) -> Placement:
    """The verdict over a pending job.

    Args:
        evaluations: of the job, from the API.
        rooms: what the nodes have in all, taken or not; None = not known.
        asked: what the job asks for.
    """
    blocked = [e for e in evaluations if e.get("FailedTGAllocs")]
    if not blocked:
        return Placement()
    metrics = next(iter(max(blocked, key=lambda e: e["CreateIndex"])["FailedTGAllocs"].values()))
    if not metrics["NodesEvaluated"]:
        return Placement("no eligible node in its datacenters and node pool")
    exhausted = metrics.get("DimensionExhausted") or {}
    if metrics.get("NodesExhausted"):
        why = f"all nodes are busy ({_listed(exhausted)})"
        if rooms and not any(_fits(asked, room) for room in rooms):
            return Placement(f"no node is large enough: it asks for {_in_words(asked)}", True)
        return Placement(why)
    filtered = metrics.get("ConstraintFiltered") or {}
    return Placement(f"no node can run it: {_listed(filtered)}", hopeless=True)


def rooms_of(nodes: Iterable[Document]) -> list[Room]:
    """What each ready and eligible node has. `nodes`: the list with `resources=true`."""
    return [
        _room(node)
        for node in nodes
        if node["Status"] == "ready"
        and node["SchedulingEligibility"] == "eligible"
        and node.get("NodeResources")
    ]


def lanes_in(rooms: Iterable[Room], asked: Room) -> int:
    """How many jobs of this size the nodes can run at a time, if nobody else does."""
    return sum(_times(room, asked) for room in rooms)


def asked_room(resources: Resources, mhz_per_core: int = 1000) -> Room:
    return Room(resources.cpu * mhz_per_core, resources.memory_mb, resources.gpus)


def _room(node: Document) -> Room:
    has, kept = node["NodeResources"], node.get("ReservedResources") or {}
    devices = has.get("Devices") or []
    return Room(
        cpu=has["Cpu"]["CpuShares"] - (kept.get("Cpu") or {}).get("CpuShares", 0),
        memory_mb=has["Memory"]["MemoryMB"] - (kept.get("Memory") or {}).get("MemoryMB", 0),
        gpus=sum(len(d.get("Instances") or []) for d in devices if d.get("Type") == "gpu"),
    )


def _fits(asked: Room, room: Room) -> bool:
    return _times(room, asked) > 0


def _times(room: Room, asked: Room) -> int:
    counts = [room.cpu // asked.cpu, room.memory_mb // asked.memory_mb]
    if asked.gpus:
        counts.append(room.gpus // asked.gpus)
    return max(0, min(counts))


def _listed(reasons: Mapping[str, int]) -> str:
    nodes = {why: f"{count} node{'' if count == 1 else 's'}" for why, count in reasons.items()}
    return ", ".join(f"{why} on {nodes[why]}" for why in sorted(nodes)) or "unknown"


def _in_words(room: Room) -> str:
    gpus = f", {room.gpus} GPUs" if room.gpus else ""
    return f"{room.cpu:,} MHz, {room.memory_mb:,} MB{gpus}"
