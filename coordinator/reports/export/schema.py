"""The JSON Schema of a row, made from the table of its fields."""

from collections.abc import Sequence
from typing import Any

from coordinator.domain.states import AttemptState, FailureKind
from coordinator.reports.history import Progress, Standing
from coordinator.reports.rows import ATTEMPT, FIELDS, Field

_TYPES = {"string": "string", "integer": "integer", "number": "number"}
_ALWAYS = ("item", "state", "attempts")  # never null
_OF_ITEM = {"state": Standing, "kind": FailureKind, "progress": Progress}
_OF_ATTEMPT = {"state": AttemptState, "kind": FailureKind}


def items_schema() -> dict[str, Any]:
    """A whole row: a line of `--format ndjson`, an entry of `items` in `--format json`."""
    properties = {field.name: _property(field, _OF_ITEM, _ALWAYS) for field in FIELDS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:coordinator:report:item:v1",
        "title": "One item of a batch, version 1",
        "description": "With --fields, only the fields that were named are there.",
        "type": "object",
        "properties": {
            **properties,
            "limited": _described("string", "what was left out of the batch; only if anything was"),
        },
        "patternProperties": {"^score_": {"type": ["number", "null"]}},
        "required": [field.name for field in FIELDS],
        "additionalProperties": False,
    }


def _property(field: Field, values: dict[str, Any], always: Sequence[str]) -> dict[str, Any]:
    told = f"{field.description} ({field.unit})" if field.unit else field.description
    if field.type == "numbers":
        numbers = {"type": "object", "additionalProperties": {"type": ["number", "null"]}}
        return {**numbers, "description": told}
    if field.type == "attempts":
        return {"type": "array", "items": _attempt(), "description": told}
    kind = _TYPES[field.type]
    null = field.name not in always
    found = _described([kind, "null"] if null else kind, told)
    if field.name in values:
        found["enum"] = [*map(str, values[field.name]), *([None] if null else [])]
    return found


def _attempt() -> dict[str, Any]:
    always = ("step", "number", "state", "dispatch", "folder")
    return {
        "type": "object",
        "properties": {field.name: _property(field, _OF_ATTEMPT, always) for field in ATTEMPT},
        "required": [field.name for field in ATTEMPT],
        "additionalProperties": False,
    }


def _described(kind: str | list[str], description: str) -> dict[str, Any]:
    return {"type": kind, "description": description}
