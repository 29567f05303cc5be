"""The item list that ships, and the text that it is of."""

from pathlib import Path

from coordinator.catalog import Needs, make_collection, open_source, select_items
from tests.support import REPOSITORY


def test_the_smoke_list_is_of_the_demo_collection(tmp_path: Path) -> None:
    made = make_collection(
        REPOSITORY / "inputs/demo/text", "devtest", tmp_path / "items", collection_id="demo"
    )
    assert (made.items, made.skipped) == (30, {})
    needs = Needs(aligned=(("source", "reference"),))
    source = open_source(str(made.catalog))
    found = select_items(source, REPOSITORY / "inputs/test-run.txt", needs)
    assert (len(found.items), found.problems, found.repeated) == (4, (), 0)
