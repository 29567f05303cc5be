"""What a pipeline asks of its items."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """What every item must have.

    Attributes:
        assets: names of assets that must be there, readable and not empty.
        properties: names of properties that must be there.
        aligned: pairs of text assets with as many lines each, which `mt:sentences` must agree with.
    """

    assets: frozenset[str] = frozenset()
    properties: frozenset[str] = frozenset()
    aligned: tuple[tuple[str, str], ...] = ()

    @property
    def texts(self) -> frozenset[str]:
        """Assets that must be UTF-8 text with one sentence a line."""
        return frozenset(name for pair in self.aligned for name in pair)

    @property
    def all_assets(self) -> frozenset[str]:
        return self.assets | self.texts
