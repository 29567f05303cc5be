"""Writing a report: every file is old or new, never half."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from coordinator.domain.names import file_name_problem
from coordinator.domain.plain import plain
from coordinator.errors import StorageError, UsageError
from coordinator.files import file_in_place_of
from coordinator.reports.lists import MATRIX, OCCASIONAL, SUMMARY_JSON
from coordinator.reports.tree import MAX_DOCUMENT, open_plain
from coordinator.storage import open_storage


def write_report(folder: Path, files: Mapping[str, str | bytes | bytearray]) -> None:
    """Write the files (name -> content), and remove what an earlier report had beyond them.

    Raises:
        UsageError: the folder cannot be written.
    """
    if file := file_in_place_of(folder):
        raise UsageError(f"{file} is a file, not a folder", hint="choose another --report_dir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        store = open_storage(str(folder.absolute()))
        matrices = {path.name for path in folder.glob(MATRIX.format("*"))}
        for name in (OCCASIONAL | matrices | _earlier(folder)) - files.keys():
            (folder / name).unlink(missing_ok=True)
        for name, content in files.items():
            store.write(name, content.encode() if isinstance(content, str) else bytes(content))
    except (OSError, StorageError) as error:
        raise UsageError(
            f"the report cannot be written to {folder}",
            why=getattr(error, "why", "") or str(error),
            hint="free some space, or choose another --report_dir",
        ) from error


def _earlier(folder: Path) -> set[str]:
    """The files of the report that stands there, by its own word."""
    try:
        with open_plain(folder / SUMMARY_JSON) as stream:
            document = json.loads(stream.read(MAX_DOCUMENT))
    except (OSError, ValueError, RecursionError):
        return set()
    names = document.get("files") if isinstance(document, dict) else None
    listed = names if isinstance(names, list) else []
    return {name for name in listed if isinstance(name, str) and file_name_problem(name) is None}


def lines_text(items: Iterable[str]) -> str:
    return "".join(f"{item}\n" for item in items)


def json_text(document: Any) -> str:
    """JSON in ASCII: whatever a log held, it opens everywhere."""
    return json.dumps(plain(document), indent=1, allow_nan=False) + "\n"
