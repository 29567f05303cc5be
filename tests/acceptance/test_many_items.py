"""The benchmark of a batch of very many items, on a smaller one: bounds that hold at a million."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPOSITORY

BENCHMARK = REPOSITORY / "benchmarks" / "ledger.py"
ITEMS = 10_000


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_neither_memory_nor_ticks_grow_with_the_items(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARK), "--items", str(ITEMS), "--done", "400", "--json"]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["items"], found["done"]) == (ITEMS, 400)
    assert 40 < found["peak_rss_mb"] < 120, "a million would take less than 300"
    assert found["wal_mb"] < 20
    assert 0 < found["create_seconds"] < found["submit_seconds"] < 60
    assert 0 < found["resume_seconds"] < 10
    assert 0 < found["tick_cpu_ms_at_1m"] < 2 * found["tick_cpu_ms_at_1k"]
    assert list(tmp_path.iterdir()) == [], "the benchmark cleans up"
