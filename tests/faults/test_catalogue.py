"""The table of faults is whole, true, and the one that the documentation shows."""

import inspect
from collections.abc import Callable

import pytest

from tests.faults.catalogue import FAULTS, Fault, Shown, table
from tests.support import REPOSITORY

BEGIN, END = "<!-- the table of faults -->\n", "\n<!-- end of the table -->"
DOCUMENT = REPOSITORY / "docs" / "reliability.md"
TESTS = sorted({test.node for fault in FAULTS for test in fault.tests})


def test_every_fault_has_its_row() -> None:
    assert [fault.number for fault in FAULTS] == list(range(1, 58))
    assert len({fault.title for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.number))
def test_every_row_is_shown_by_tests_or_says_why_not(fault: Fault) -> None:
    assert fault.title and fault.holds
    assert fault.tests or fault.left_out


@pytest.mark.parametrize("node", TESTS)
def test_every_test_of_the_table_is_there(node: str) -> None:
    test = Shown(node)
    assert inspect.isfunction(test.function), "a test, and no fixture or class"
    assert test.name.startswith("test_")
    assert not test.marks & {"skip", "skipif", "xfail"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.number))
def test_something_of_each_row_runs_without_being_asked_for(fault: Fault) -> None:
    assert not fault.tests or any(not test.is_soak for test in fault.tests)


def test_the_documentation_shows_this_table(say: Callable[[str], None]) -> None:
    said = DOCUMENT.read_text("utf-8")
    assert said.partition(BEGIN)[2].partition(END)[0] == table(), (
        "python -m tests.faults.catalogue prints the table for docs/reliability.md"
    )
    shown = sum(bool(fault.tests) for fault in FAULTS)
    say(f"\n{shown} of {len(FAULTS)} faults are shown by {len(TESTS)} tests:\n{brief()}")


def brief() -> str:
    """A line a row."""
    return "\n".join(
        f"  {fault.number:>2}  {', '.join(t.name for t in fault.tests) or fault.left_out}"
        for fault in FAULTS
    )
