"""Every verb that looks answers at once; benchmarks/first_line.py has it with 100,000 items."""

import json
import subprocess
import sys
from typing import Any

import pytest
from first_line import Figure, item_id, table

from tests.support import REPOSITORY

pytestmark = pytest.mark.alone  # it measures time

ITEMS = 2_000
# Times what the libraries take that no verb can do without: twice what it was. All is counted in
# seconds of the processor, which a busy machine changes less than those on the wall. The script for
# completion has to import every verb.
EVERY_VERB, COMPLETION, TAB = 3.0, 5.0, 0.6


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("x")
    flags = ["--json", "--repeat=1", f"--items={ITEMS}", f"--folder={folder}"]
    done = subprocess.run(
        [sys.executable, REPOSITORY / "benchmarks/first_line.py", *flags],
        capture_output=True,
        text=True,
        check=True,
    )
    document = json.loads(done.stdout)
    assert document["items"] == ITEMS
    return {figure["verb"]: figure for figure in document["verbs"]}


@pytest.mark.timeout(300)
def test_no_verb_takes_long_before_it_says_something(figures: dict[str, dict[str, Any]]) -> None:
    libraries = figures["libraries"]["cpu"]
    verbs = {
        name: figure for name, figure in figures.items() if name not in ("nothing", "libraries")
    }
    limits = {
        name: TAB if "TAB" in name else COMPLETION if name == "completion" else EVERY_VERB
        for name in verbs
    }
    late = {n: f["cpu"] for n, f in verbs.items() if f["cpu"] > limits[n] * libraries + 0.02}
    assert not late, f"the libraries alone took {libraries:.2f} s"


def test_each_verb_says_what_it_was_asked(figures: dict[str, dict[str, Any]]) -> None:
    lines = {name: figure["line"] for name, figure in figures.items()}
    counts = f"large  {ITEMS:,} items  =  {ITEMS * 3 // 5:,} succeeded  {ITEMS // 5:,} failed"
    assert lines["status"].startswith(counts) and lines["status --failed"].startswith(counts)
    assert "of large: waiting, step translate (1 of 2)" in lines["why (waiting)"]
    assert "of large: failed" in lines["why (failed)"]
    assert "has no item" in lines["status WRONG"]
    assert f"{ITEMS // 5:,} items failed by its ledger" in lines["failures"]
    assert "2 sentences" in lines["show"]
    for verb in ("debug", "run-one"):
        assert lines[verb] == f"error: {item_id(ITEMS - 1)} was not sent to the cluster yet"


def test_the_table_names_what_is_late() -> None:
    *_, quick, slow = table([Figure("a", 0.1, 0.2, 0.1, "x"), Figure("b", 0.6, 0.7, 0.1, "y")])
    assert not quick.endswith("LATE") and slow.endswith("LATE")
