"""Relative links from the page to logs, checked so that they lead nowhere else."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self
from urllib.parse import quote


@dataclass(frozen=True)
class Links:
    """`prefix`: the way from the report's folder to the logs', as a relative URL."""

    prefix: str

    @classmethod
    def between(cls, report_dir: Path, log_dir: Path | None) -> Self | None:
        """None where there is no way between them, as from one drive to another."""
        if log_dir is None:
            return None
        try:
            way = Path(os.path.relpath(log_dir.resolve(), report_dir.resolve())).as_posix()
        except (ValueError, OSError):
            return None
        return cls("./" + quote(os.fsencode(way)))

    def to(self, file: str) -> str:
        """The way to a file below the logs; "" where the name leads out of them."""
        parts = PurePosixPath(file).parts
        if not parts or any(part in ("/", "..", ".") for part in parts):
            return ""
        return f"{self.prefix}/{quote(os.fsencode(file))}"
