"""Items: read from a catalog, an API or a folder of text, and checked before anything runs."""

from coordinator.catalog.base import BadItem, ItemSource, Progress, RawItem
from coordinator.catalog.describe import ItemCounts, ItemView, count_items, show_item
from coordinator.catalog.from_text import CollectionSummary, make_collection
from coordinator.catalog.lists import ItemList, read_item_list
from coordinator.catalog.needs import Needs
from coordinator.catalog.select import Selection, StoredItems, select_items
from coordinator.catalog.sources import open_source

__all__ = [
    "BadItem",
    "CollectionSummary",
    "ItemCounts",
    "ItemList",
    "ItemSource",
    "ItemView",
    "Needs",
    "Progress",
    "RawItem",
    "Selection",
    "StoredItems",
    "count_items",
    "make_collection",
    "open_source",
    "read_item_list",
    "select_items",
    "show_item",
]
