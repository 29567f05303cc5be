"""Which code is nobody's handler: Python's, the libraries', the coordinator's."""

import os
import sysconfig
from collections.abc import Iterable
from pathlib import Path

_PACKAGE = str(Path(__file__).resolve().parent.parent)
_LIBRARIES = ("stdlib", "platstdlib", "purelib", "platlib")


def own_folders() -> tuple[str, ...]:
    """Folders of such code in this interpreter."""
    libraries = {sysconfig.get_path(name) for name in _LIBRARIES}
    return tuple(sorted({_PACKAGE, *(os.path.realpath(path) for path in libraries), *libraries}))


def lies_in(file: str, folders: Iterable[str]) -> bool:
    """Whether `file` is in one of the folders, or no file at all."""
    return file.startswith(("<", *(f"{folder}/" for folder in folders)))
