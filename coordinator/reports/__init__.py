"""Reports from the log tree alone: lists, tables and a summary whose numbers add up."""

from coordinator.reports.compare import ComparisonRow, compare_scores
from coordinator.reports.explain import Message
from coordinator.reports.groups import ErrorGroup
from coordinator.reports.item_log import ItemLog
from coordinator.reports.render import render
from coordinator.reports.report import local_reports, read_limited, read_scores
from coordinator.reports.resubmit import items_to_resubmit
from coordinator.reports.run_list import read_run_list
from coordinator.reports.summary import Counts, Summary
from coordinator.reports.tree import Note

__all__ = [
    "ComparisonRow",
    "Counts",
    "ErrorGroup",
    "ItemLog",
    "Message",
    "Note",
    "Summary",
    "compare_scores",
    "items_to_resubmit",
    "local_reports",
    "read_limited",
    "read_run_list",
    "read_scores",
    "render",
]
