"""The benchmark of reports, on a small tree: it is right, and memory does not grow with a log."""

import json
import subprocess
import sys

from tests.support import REPOSITORY


def test_memory_stays_flat_and_verdicts_right() -> None:
    """What 2,000 items and a gigabyte come to is for `make bench`."""
    command = [sys.executable, str(REPOSITORY / "benchmarks/reports.py"), "--items", "120"]
    command += ["--megabytes", "60", "--giant", "200", "--rounds", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["peak_rss_mb"] < 100
    assert found["over_naive_reader"] > 1.5, "most of so small a tree's time is the start"
    assert set(found["giant"]) == {"lines", "one line"}
