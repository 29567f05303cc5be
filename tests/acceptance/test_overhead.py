"""The benchmark of the coordinator's overhead, on a small batch: it runs, and its sums hold."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPOSITORY

BENCHMARK = REPOSITORY / "benchmarks" / "overhead.py"


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_a_small_batch(tmp_path: Path) -> None:
    items = 200
    command = [sys.executable, str(BENCHMARK), "--items", str(items), "--slots", "2", "--json"]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["items"], found["slots"]) == (items, 2)
    assert found["dry_run"] < 10
    assert 4 <= found["workers"] < items, "packs are shared"
    assert 0 < found["worker_seconds"] <= 2 * found["wall"]
    lost = found["wall"] - found["worker_seconds"] / 2
    assert found["overhead_ms_per_item"] == pytest.approx(1000 * lost / items)
    assert 0 < found["coordinator_cpu"] < found["wall"]
    assert found["coordinator_peak_mb"] < 200
    assert list(tmp_path.iterdir()) == [], "the benchmark cleans up"
