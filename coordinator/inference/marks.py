"""How a model is told what to translate into what: tokens around the sentence, by its family."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from coordinator.domain.ctranslate2_folder import Family
from coordinator.inference.languages import LanguageTable


@dataclass(frozen=True)
class Direction:
    """What is added to every sentence of one direction.

    Attributes:
        text: in front of the sentence, before it is tokenized.
        before, after: tokens around those of the sentence.
        prefix: tokens that the translation is made to begin with.
    """

    text: str = ""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()


def directions_of(family: Family, aliases: Mapping[str, str]) -> Callable[[str, str], Direction]:
    """Source and target language -> direction. What it returns raises BadInput: not known."""
    choose = _marian if family.family == "marian" else _many_to_many
    return lru_cache(maxsize=1024)(choose(family, aliases))


def _many_to_many(family: Family, aliases: Mapping[str, str]) -> Callable[[str, str], Direction]:
    """M2M100, NLLB and mBART-50: a token beside the source, one in front of the translation."""
    table = LanguageTable(tuple(family.languages), aliases)

    def choose(source: str, target: str) -> Direction:
        mark, prefix = (family.languages[table.find(code)] for code in (source, target))
        if family.language_last:
            return Direction(after=(family.end, mark), prefix=(prefix,))
        return Direction(before=(mark,), after=(family.end,), prefix=(prefix,))

    return choose


def _marian(family: Family, aliases: Mapping[str, str]) -> Callable[[str, str], Direction]:
    """Marian: one direction, or one source with a target named in front of the sentence.

    Where the folder names its one language, an item is held to it; groups are not checked.
    """
    targets = LanguageTable(tuple(family.languages), aliases)

    def choose(source: str, target: str) -> Direction:
        if family.source:
            LanguageTable((family.source,), aliases).find(source)
        if family.languages:
            mark = family.languages[targets.find(target)]
            return Direction(text=f"{mark} ", after=(family.end,))
        if family.target:
            LanguageTable((family.target,), aliases).find(target)
        return Direction(after=(family.end,))

    return choose
