"""What all directions come to: tables for people, spreadsheets and pandas."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coordinator.domain.csv_text import Cell, csv_text
from coordinator.errors import Problem
from coordinator.metrics import (
    Average,
    GroupAverage,
    LanguageTable,
    Suspicious,
    average,
    group_averages,
    group_rows,
    matrix,
    score_rows,
    suspicious_rows,
)
from coordinator.scoring.parts import TagScores, tag_rows

Rows = Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Summary:
    """The scores of all that was expected.

    Attributes:
        expected: item -> source and target language.
        scores: item -> metric -> score, of the items that have any.
        signatures: metric -> signature, in the order that was asked for.
        suspicious: item -> what is suspicious about its translations, where something is.
        tags: item -> scores by tag, where they were asked for.
        problems: why items have no scores; sorted.
    """

    expected: Mapping[str, tuple[str, str]]
    scores: Mapping[str, Mapping[str, float]]
    signatures: Mapping[str, str]
    suspicious: Mapping[str, Suspicious]
    problems: Sequence[Problem]
    tags: Mapping[str, TagScores] = field(default_factory=dict)

    @property
    def averages(self) -> dict[str, Average]:
        """Metric -> mean over all that was expected."""
        return {
            metric: average({i: self.scores.get(i, {}).get(metric) for i in self.expected})
            for metric in self.signatures
        }

    def files(self, table: LanguageTable) -> dict[str, bytes]:
        """Name -> content: the same bytes for the same scores."""
        groups = group_averages(self.scores, self.expected, list(self.signatures), table)
        tables: dict[str, Rows] = {
            "scores.csv": score_rows(self.scores, self.averages),
            "averages.csv": group_rows(groups),
            "suspicious.csv": suspicious_rows(self.suspicious),
            "problems.csv": [
                ["item", "problem", "try"],
                *([p.where, p.reason, p.fix] for p in self.problems),
            ],
        }
        if self.tags:
            tables["tags.csv"] = tag_rows(self.tags)
        for metric in self.signatures:
            tables[f"matrix-{metric}.csv"] = matrix(self.scores, self.expected, metric)
        texts = {name: csv_text(rows) for name, rows in tables.items()}
        texts["averages.json"] = _json(self._averages_document(groups))
        return {name: text.encode() for name, text in texts.items()}

    def _averages_document(self, groups: Sequence[GroupAverage]) -> dict[str, Any]:
        return {
            "format": 1,
            "expected": len(self.expected),
            "scored": len(self.scores),
            "signatures": dict(self.signatures),
            "averages": [group.to_json() for group in groups],
        }


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1) + "\n"
