"""The benchmarks of inference, on a few sentences: they run, and their figures fit together."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import REPOSITORY

BENCHMARKS = REPOSITORY / "benchmarks"


def figures(script: str, *flags: str) -> dict[str, Any]:
    command = [sys.executable, str(BENCHMARKS / script), "--json", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.needs_data
def test_every_way_is_compared_with_file_order(test_data: Any, tmp_path: Path) -> None:
    test_data("ntrex101")
    size = ("--quick", "--sentences", "4", "--steps", "1", "--threads", "1")
    ways = ("torch", "ctranslate2")
    found = figures("inference.py", *size, "--model", str(tmp_path / "model"), "--only", *ways)
    assert found["sentences"] == 16
    assert list(found["ways"]) == ["file_order", *ways]
    base = found["ways"]["file_order"]
    for way in ways:
        [seconds] = found["ways"][way]["seconds"]
        assert found[f"{way}_over_file_order"] == pytest.approx(base["seconds"][0] / seconds)
        assert 0 < found["ways"][way]["busy_share"] <= 1
        assert found["different_sentences"][way] == []
    assert 0 <= base["padding_share"] < 1


@pytest.mark.needs_data
def test_sentences_through_the_engine_are_those_of_the_plain_loop(
    test_data: Any, tmp_path: Path
) -> None:
    test_data("ntrex101")
    flags = ("--sentences", "24", "--folder", str(tmp_path), "--architecture", "nllb", "marian")
    found = figures("greedy_identity.py", *flags)
    for each in found.values():
        assert {name: one["wrong"] for name, one in each.items()} == {"torch": 0, "ctranslate2": 0}
    spoilt = json.loads((tmp_path / "nllb.json").read_text())
    spoilt[7] = [400, *spoilt[7]]
    (tmp_path / "nllb.json").write_text(json.dumps(spoilt))
    flags = (*flags, "--backend", "ctranslate2")
    command = [sys.executable, str(BENCHMARKS / "greedy_identity.py"), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nllb, ctranslate2, sentence 7, token 0: scores" in done.stderr
    assert "NOT rounding" in done.stderr
    assert "23 the same, 0 by rounding, 1 wrong" in done.stdout
