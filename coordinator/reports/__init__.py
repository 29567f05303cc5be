"""Reports from the log tree alone: lists, tables and a summary whose numbers add up.

What is asked for is imported then: most verbs need one part of it.
"""

from typing import TYPE_CHECKING

from coordinator.lazily import imports_of

if TYPE_CHECKING:
    from coordinator.reports.compare import ComparisonRow, compare_scores
    from coordinator.reports.explain import Message
    from coordinator.reports.groups import ErrorGroup
    from coordinator.reports.html import History, Moment, PageWish
    from coordinator.reports.item_log import ItemLog
    from coordinator.reports.report import local_reports, read_scores
    from coordinator.reports.resubmit import items_to_resubmit
    from coordinator.reports.run_list import read_run_list
    from coordinator.reports.summary import Counts, Summary
    from coordinator.reports.tree import Note

_LATER = {
    "compare": (
        "ComparisonRow",
        "compare_scores",
    ),
    "explain": ("Message",),
    "groups": ("ErrorGroup",),
    "html": ("History", "Moment", "PageWish"),
    "item_log": ("ItemLog",),
    "report": (
        "local_reports",
        "read_scores",
    ),
    "resubmit": ("items_to_resubmit",),
    "run_list": ("read_run_list",),
    "summary": (
        "Counts",
        "Summary",
    ),
    "tree": ("Note",),
}


__all__ = [
    "ComparisonRow",
    "Counts",
    "ErrorGroup",
    "History",
    "ItemLog",
    "Message",
    "Moment",
    "Note",
    "PageWish",
    "Summary",
    "compare_scores",
    "items_to_resubmit",
    "local_reports",
    "read_run_list",
    "read_scores",
]


if not TYPE_CHECKING:  # or every name would be thought to exist
    __getattr__ = imports_of(__name__, _LATER)
