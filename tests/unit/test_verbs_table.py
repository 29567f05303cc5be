"""The table of verbs names the module of each: only that one is imported."""

from pathlib import Path

import pytest

import coordinator.cli
from coordinator.cli.app import HOMES, app_of


def test_every_module_of_verbs_is_in_the_table() -> None:
    folder = Path(coordinator.cli.__file__).parent
    assert set(HOMES) == {path.stem for path in folder.glob("verbs_*.py")}


@pytest.mark.parametrize("module", HOMES)
def test_a_module_has_the_verbs_that_the_table_says(module: str) -> None:
    assert {verb for verb in app_of(module) if not verb.startswith("-")} == set(HOMES[module])
