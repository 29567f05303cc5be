"""`report.html`: one file that shows a batch, and asks nobody for anything."""

from coordinator.reports.html.inputs import History, Inputs, Moment, PageWish
from coordinator.reports.html.page import missing_library, page_html

__all__ = ["History", "Inputs", "Moment", "PageWish", "missing_library", "page_html"]
