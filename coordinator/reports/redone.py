"""Which attempts count of items that were done again: what the coordinator left in the log tree."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coordinator.reports.tree import Tree, numbered_lines


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True)

    item: str
    step: str
    first: int = Field(ge=1, alias="from")


def read_redone(tree: Tree, path: Path) -> Mapping[str, Mapping[str, int]]:
    """Item -> step -> its first attempt that counts. A line that cannot be used is told."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    stream = tree.open(path)
    if stream is None:
        return {}
    with stream:
        for number, text in numbered_lines(stream):
            try:
                line = _Line.model_validate(json.loads(text))
            except (ValueError, RecursionError, ValidationError):
                tree.note(path, f"line {number} is damaged: what it says is not used")
                continue
            found[line.item][line.step] = line.first
    return found
