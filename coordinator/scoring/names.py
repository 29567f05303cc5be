"""From what a file is called to its languages."""

import re
from collections.abc import Collection, Iterator

from coordinator.errors import BadInput

_CODE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,2}")  # as ISO 639 and BCP 47 have it


def languages_of(
    item: str, targets: Collection[str], known: Collection[str] = ()
) -> tuple[str, str]:
    """Source and target of an item called `<source>-<target>`, or `<anything>-<source>-<target>`.

    Codes hold hyphens themselves (`zho-CN`), so those that there are decide where to cut: the
    target is one of `targets`, and the source one of them or of `known`. Only where the name is
    nothing but the two may the source be any code.

    Raises:
        BadInput: there is no such cut, or more than one.
    """
    cuts = list(_cuts(item, targets))
    sure = [cut for cut in cuts if cut[1] in targets or cut[1] in known]
    whole = [cut for cut in sure if not cut[0]]
    found = whole or sure or [cut for cut in cuts if not cut[0] and _CODE.fullmatch(cut[1])]
    pairs = {(source, target) for _, source, target in found}
    if len(pairs) == 1:
        return pairs.pop()
    if not pairs:
        raise BadInput(
            "no language that there is a reference for",
            why="an item is called <source>-<target>",
            hint="add <target>.txt to the references",
        )
    shown = " or ".join(f"{source} to {target}" for source, target in sorted(pairs))
    raise BadInput("its languages are not clear", why=shown, hint="rename it")


def _cuts(item: str, targets: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """What stands in front, source, target: every way to cut the name."""
    parts = item.split("-")
    for end in range(1, len(parts)):
        if (target := "-".join(parts[end:])) in targets:
            for start in range(end):
                yield "-".join(parts[:start]), "-".join(parts[start:end]), target
