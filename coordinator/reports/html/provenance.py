"""Where a page comes from: what was asked for, what made it, and what could not be used."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coordinator import __version__
from coordinator.domain.shown import for_terminal
from coordinator.reports.html.assets import LICENCES, versions
from coordinator.reports.html.inputs import Inputs
from coordinator.reports.html.verdict import moment
from coordinator.secrecy import MARK
from coordinator.secrecy.sources import is_secret, without_secrets

_MOST_NOTES = 50
_MOST_RECORD = 200_000  # characters of batch.json
_LONGEST = 1_000  # characters of one text


@dataclass(frozen=True)
class Provenance:
    """The last section.

    Attributes:
        facts: (name, value).
        record: `batch.json` as text; "" = there is none.
        notes: (file, what is wrong with it), and how many more there are.
        licences: (scripts, holder, licence).
    """

    facts: tuple[tuple[str, str], ...]
    record: str
    notes: tuple[tuple[str, str], ...]
    notes_left_out: int
    licences: tuple[tuple[str, str, str], ...] = LICENCES


def provenance_of(inputs: Inputs) -> Provenance:
    """Nothing of it is a secret, as far as names tell."""
    notes = inputs.summary.notes
    shown = ((for_terminal(n.file), for_terminal(n.problem)) for n in notes[:_MOST_NOTES])
    return Provenance(
        _facts(inputs),
        _record_text(inputs.record),
        tuple(shown),
        max(0, len(notes) - _MOST_NOTES),
    )


def _facts(inputs: Inputs) -> tuple[tuple[str, str], ...]:
    """Where it comes from and what made it."""
    summary, record = inputs.summary, inputs.record
    began = record.get("created_at")
    driver = inputs.history.driven_by if inputs.history else None
    facts = {
        "batch": summary.batch,
        "submitted": moment(began) if isinstance(began, int | float) else "",
        "driven by": driver or "",
        "coordinator that submitted it": str(record.get("version") or ""),
        "model": without_secrets(str(record.get("model") or "")),
        "run list": summary.run_list_source,
        "logs": summary.log_dir,
        "report": summary.report_dir,
        "report made": moment(inputs.now),
        "coordinator that made the report": __version__,
        "python": platform.python_version(),
        **versions(),
    }
    return tuple((name, for_terminal(value[:_LONGEST])) for name, value in facts.items() if value)


def _record_text(record: Mapping[str, Any]) -> str:
    """`batch.json` as it is, without what its names call a secret."""
    if not record:
        return ""
    text = json.dumps(_without_secrets(record), indent=1, ensure_ascii=False, default=str)
    lines = [for_terminal(line) for line in text[:_MOST_RECORD].split("\n")]
    return "\n".join(lines) + ("\n…" if len(text) > _MOST_RECORD else "")


def _without_secrets(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _without_secrets(part, str(key)) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_secrets(part, name) for part in value]
    if not isinstance(value, str):
        return value
    return MARK if value and is_secret(name) else without_secrets(value)
