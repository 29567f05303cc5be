"""The benchmark of scoring, on a few sentences: it runs, and its figures fit together."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support import REPOSITORY

BENCHMARK = REPOSITORY / "benchmarks" / "scoring.py"


def figures(*flags: str) -> dict[str, float]:
    command = [sys.executable, str(BENCHMARK), "--quick", "--json", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.needs_data
def test_each_direction(test_data: Any) -> None:
    test_data("ntrex101")
    found = figures("--only", "directions")
    for name in ("unigram_spbleu", "bpe_spbleu"):
        assert found[f"{name}_over_limit"] > 0
        assert found[f"{name}_over_limit_numpy"] > 0
        assert found[f"{name}_us_limit_by_line"] < found[f"{name}_us_sacrebleu"]
    for name in ("unigram_spbleu", "bpe_spbleu", "chrfpp", "ter"):
        assert found[f"{name}_over_sacrebleu"] > 0
        assert found[f"{name}_over_sacrebleu_cached"] > 0
        assert found[f"{name}_over_sacrebleu_numpy"] > 0
    assert not any(name.startswith("track") for name in found)


@pytest.mark.needs_data
def test_the_track(test_data: Any) -> None:
    test_data("ntrex101")
    found = figures("--only", "track")
    assert found["track_directions"] == 12
    one, two = found["track_seconds_1"], found["track_seconds_2"]
    assert found["two_process_speedup"] == pytest.approx(one / two)
    assert 30 < found["peak_rss_mb"] < 1_000
