"""A task of a registry, as directions that can be scored like any others."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from coordinator.errors import BadInput, Problem
from coordinator.scoring.datasets import Dataset
from coordinator.scoring.folders import find_predictions
from coordinator.scoring.plan import Direction, Plan
from coordinator.scoring.registry import RegisteredTask
from coordinator.storage import Storage, open_storage

DATASETS = ".datasets"  # below the output: the datasets as line-aligned text


def plan_task(task: RegisteredTask, predictions: Path, output: Path) -> Plan:
    """What the task comes to; its datasets are written below `output`, one segment a line.

    Predictions are called like the datasets, with their direction where a dataset has several:
    `phrases.deu-eng.txt`, or `.jsonl`, or a folder with `translations.jsonl`.

    Raises:
        BadInput: a dataset or the folder of predictions cannot be used, or two datasets have the
            same name.
        StorageError: the disk takes no more.
    """
    datasets = task.datasets()
    found, problems = find_predictions(predictions)
    expected = {dataset.name: dataset.languages for dataset in datasets}
    if len(expected) < len(datasets):
        raise BadInput(f"two datasets of task {task.name} have the same name", hint="rename one")
    faults = {problem.where: problem for problem in problems if problem.where in expected}
    directions = []
    for dataset in datasets:
        made = faults.get(dataset.name) or _direction(dataset, found, output)
        if isinstance(made, Direction):
            directions.append(made)
        else:
            faults[dataset.name] = made
    return Plan(expected, directions, [faults[name] for name in sorted(faults)])


def _direction(dataset: Dataset, found: Mapping[str, Path], output: Path) -> Direction | Problem:
    if dataset.name not in found:
        return Problem(dataset.name, "no predictions", f"put {dataset.name}.txt there")
    path = found[dataset.name]
    try:
        size = path.lstat().st_size
    except OSError:
        return Problem(dataset.name, f"no {path.name}")
    store = open_storage(str(output.absolute()))
    references = [
        _written(store, output, f"{dataset.name}.{number}.txt", texts)
        for number, texts in enumerate(dataset.expected, start=1)
    ]
    source = tags = None
    if dataset.sources:
        source = _written(store, output, f"{dataset.name}.source.txt", dataset.sources)
    if dataset.tags:
        lines = ["\t".join(line) for line in dataset.tags]
        tags = _written(store, output, f"{dataset.name}.tags.txt", lines)
    return Direction(dataset.name, *dataset.languages, path, tuple(references), size, source, tags)


def _written(store: Storage, output: Path, name: str, lines: Sequence[str]) -> Path:
    store.write(f"{DATASETS}/{name}", "".join(f"{line}\n" for line in lines).encode())
    return output / DATASETS / name
