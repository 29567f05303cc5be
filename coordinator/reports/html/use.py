"""What each step used against what it asked for, and what follows from that."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.reports.html.lanes import IDLE, LOAD, WORK, Job
from coordinator.reports.resources import Usage
from coordinator.reports.rows import Row

_ROOM = 1.25  # of memory above the highest use
_SPARE = 0.6  # of what was asked for: with less than that in use, less would do
_TIGHT = 0.95
_LOADING = 0.2  # of a job's time: more than that in loading is worth a word
_FEWEST = 3  # jobs: with fewer, nothing is advised


@dataclass(frozen=True)
class Asked:
    """What one dispatch of a step asked for; None = not known."""

    cores: float | None = None
    memory_mb: float | None = None  # the largest size that is tried
    gpus: float | None = None


@dataclass(frozen=True)
class StepUse:
    """One step, all its dispatches together; seconds are summed over them.

    Attributes:
        tokens_per_s: of one dispatch while it works; None where no tokens are known.
        cores, memory_mb, gpu_percent: measured: mean, highest, mean; None = not measured.
    """

    step: str
    jobs: int
    items: int
    load: float
    work: float
    idle: float
    tokens_per_s: float | None
    asked: Asked
    cores: float | None = None
    memory_mb: float | None = None
    gpu_percent: float | None = None

    @property
    def seconds(self) -> float:
        return self.load + self.work + self.idle

    @property
    def gpu_seconds(self) -> float | None:
        return None if self.asked.gpus is None else self.asked.gpus * self.seconds

    @property
    def load_share(self) -> float:
        return self.load / self.seconds if self.seconds else 0.0


def uses_of(
    steps: Sequence[str],
    jobs: Sequence[Job],
    rows: Iterable[Row],
    usages: Sequence[Usage],
    record: Mapping[str, Any],
) -> list[StepUse]:
    """The steps in which anything was worked on, in their order."""
    tokens = _tokens_by_step(rows)
    found = []
    for step in steps:
        own = [job for job in jobs if job.step == step]
        if own:
            asked = asked_of(record, step)
            found.append(_use(step, own, tokens.get(step), asked, usages))
    return found


def asked_of(record: Mapping[str, Any], step: str) -> Asked:
    """As `batch.json` says; it may say anything."""
    pipeline = record.get("pipeline")
    steps = pipeline.get("steps") if isinstance(pipeline, dict) else None
    for one in steps if isinstance(steps, list) else []:
        if isinstance(one, dict) and one.get("name") == step:
            wants = one.get("resources")
            wants = wants if isinstance(wants, dict) else {}
            memory = wants.get("memory_mb")
            sizes = memory if isinstance(memory, list) else [memory]
            return Asked(
                _number(wants.get("cpu")),
                max((n for s in sizes if (n := _number(s)) is not None), default=None),
                _number(wants.get("gpus")),
            )
    return Asked()


def advice(uses: Iterable[StepUse]) -> Iterator[str]:
    """Sentences on what to ask for instead."""
    for use in uses:
        if use.jobs >= _FEWEST:
            yield from _on_memory(use)
            yield from _on_cores(use)
            yield from _on_loading(use)
            yield from _on_gpus(use)


def _on_memory(use: StepUse) -> Iterator[str]:
    asked, peak = use.asked.memory_mb, use.memory_mb
    if asked is None or peak is None:
        return
    enough = max(64, round(peak * _ROOM / 64) * 64)
    if peak < _SPARE * asked and enough < asked:
        yield (
            f"{use.step} asks for {asked:,.0f} MB of memory and used {peak:,.0f} MB at most: "
            f"{enough:,} MB would do."
        )
    elif peak > _TIGHT * asked:
        yield (
            f"{use.step} used {peak:,.0f} MB of the {asked:,.0f} MB that it asks for: "
            f"{enough:,} MB would be safer."
        )


def _on_cores(use: StepUse) -> Iterator[str]:
    asked, used = use.asked.cores, use.cores
    if asked is not None and used is not None and asked >= 2 and used < _SPARE * asked:
        yield f"{use.step} asks for {asked:,.0f} cores and kept {used:.1f} busy."


def _on_loading(use: StepUse) -> Iterator[str]:
    if use.load_share > _LOADING:
        yield (
            f"{use.step} spent {100 * use.load_share:.0f} % of its time on loading: larger packs "
            f"(pack.size in the pipeline file) load less often."
        )


def _on_gpus(use: StepUse) -> Iterator[str]:
    if use.asked.gpus and use.gpu_percent is not None and use.gpu_percent < 100 * _SPARE:
        yield (
            f"{use.step} kept its GPUs {use.gpu_percent:.0f} % busy: larger batches "
            f"(options.batch_tokens) may use them better."
        )


def _use(
    step: str, jobs: Sequence[Job], tokens: int | None, asked: Asked, usages: Iterable[Usage]
) -> StepUse:
    parts = [job.seconds for job in jobs]
    work = sum(part[WORK] for part in parts)
    own = [usage for usage in usages if usage.step == step]
    return StepUse(
        step,
        len(jobs),
        sum(len(job.begun) for job in jobs),
        sum(part[LOAD] for part in parts),
        work,
        sum(part[IDLE] for part in parts),
        tokens / work if tokens and work > 0 else None,
        asked,
        _mean(own, "cores"),
        max((u.uses["memory_mb"].peak for u in own if "memory_mb" in u.uses), default=None),
        _mean(own, "gpu_percent"),
    )


def _mean(usages: Iterable[Usage], column: str) -> float | None:
    known = [(u.uses[column].mean, u.seconds) for u in usages if column in u.uses]
    total = sum(seconds for _, seconds in known)
    return sum(mean * seconds for mean, seconds in known) / total if total > 0 else None


def _tokens_by_step(rows: Iterable[Row]) -> dict[str, int]:
    """Tokens count for the first step, which alone tells of them."""
    found: dict[str, int] = {}
    for row in rows:
        if row["tokens"] and row["tries"]:
            step = row["tries"][0]["step"]
            found[step] = found.get(step, 0) + row["tokens"]
    return found


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e12 else None
