"""A unit of work: what the rest of the program knows of a STAC item."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class WorkItem:
    """One item, checked at the door: its id is one safe path segment.

    Attributes:
        id: one safe path segment, unique in the batch.
        collection: the STAC collection, or "".
        assets: asset name -> absolute location (a local path or a URL).
        properties: the item's properties, as plain JSON.
        cost: about how many tokens it is, 1 where that is not known (see domain/cost.py).
    """

    id: str
    collection: str = ""
    assets: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    cost: int = 1

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "collection": self.collection,
            "assets": dict(self.assets),
            "properties": dict(self.properties),
            "cost": self.cost,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "WorkItem":
        return cls(
            document["id"],
            document["collection"],
            document["assets"],
            document["properties"],
            document.get("cost", 1),
        )
