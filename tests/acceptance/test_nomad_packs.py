"""A small run of the benchmark of packs: one item a dispatch against packs, in one table."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support import REPOSITORY, require_cluster_program

pytestmark = [pytest.mark.alone, pytest.mark.needs_nomad, pytest.mark.timeout(900)]

SOAK = (pytest.mark.soak, pytest.mark.timeout(3 * 3600))


@pytest.mark.parametrize(
    ("items", "packs"),
    [(8, (1, 8)), pytest.param(2_000, (1, 10, 100), marks=SOAK)],
)
def test_packs_save_most_of_the_cost_of_starting_jobs(
    items: int, packs: tuple[int, ...], say: Callable[[str], None]
) -> None:
    require_cluster_program("nomad")
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "packs_on_nomad.py"), "--json"]
    command += ["--items", str(items), "--packs", ",".join(map(str, packs))]
    command += ["--lanes", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    say(f"\n{items} items of 10 ms each through raw_exec\n{table(rows)}")
    assert [row["pack"] for row in rows] == list(packs)
    assert rows[0]["jobs"] == items
    assert all(row["jobs"] < items for row in rows[1:])
    assert rows[0]["wall"] > 1.2 * rows[-1]["wall"]


def table(rows: list[dict[str, float]]) -> str:
    """One line a row, under the names of its columns."""
    lines = ["".join(f"{name:>18}" for name in rows[0])]
    lines += ["".join(f"{value:>18.4g}" for value in row.values()) for row in rows]
    return "\n".join(lines)
