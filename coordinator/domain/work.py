"""What a job does with one item, and what it says when it is done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from coordinator.domain.handoff import HandoffItem


@dataclass(frozen=True)
class Done:
    """An item that went well.

    Attributes:
        facts: counts, seconds and scores for the outcome file; plain JSON.
        no_data: there was nothing to do, as expected.
        message: one line for the reader, where there is something to say.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    no_data: bool = False
    message: str = ""


class Job(Protocol):
    """The work of one step. Made once per dispatch; what is costly is loaded then."""

    def run(self, item: HandoffItem, inputs: Mapping[str, Path], out: Path) -> Done:
        """Work on one item: read `inputs` (name -> local file), leave files in the folder `out`.

        Raises:
            BadInput: the item or one of its files cannot be used.
            ModelError: the model or its handler failed.
        """
        ...
