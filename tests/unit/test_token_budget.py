"""The search for the largest batch, and the GPUs that processes are started for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.job_options import InferenceOptions
from coordinator.inference.engine import Engine
from coordinator.inference.gpus import usable_gpus
from coordinator.inference.probe import FULL, MOST, largest_budget
from tests.model_server import COMMAND


@given(st.integers(1, 2000), st.integers(1, 1 << 20), st.booleans())
def test_the_budget_is_the_largest_doubling_that_leaves_room(
    least: int, memory: int, raises: bool
) -> None:
    tried: list[int] = []

    def used(tokens: int) -> float:
        tried.append(tokens)
        if raises and tokens > memory:
            raise MemoryError
        return tokens / memory

    found = largest_budget(used, least)
    assert tried == [least << n for n in range(len(tried))]
    if found is None:
        assert least > min(FULL * memory, MOST)
    else:
        assert found in tried and found <= min(FULL * memory, MOST)
        assert 2 * found > min(FULL * memory, MOST)


def test_gpus_are_counted_where_nothing_names_them(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert usable_gpus({}, tmp_path) == ["0", "1"]
    assert usable_gpus({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == []


@pytest.mark.parametrize(
    ("given_names", "found"),
    [("3", ["3"]), ("GPU-a, GPU-b", ["GPU-a", "GPU-b"]), ("-1", []), ("0,-1,1", ["0"])],
)
def test_named_gpus_are_those_that_cuda_would_see(given_names: str, found: list[str]) -> None:
    assert usable_gpus({"CUDA_VISIBLE_DEVICES": given_names}) == found


@pytest.mark.parametrize(("file", "processes"), [("endpoint.json", 1), ("handler.py", 2)])
def test_a_model_elsewhere_needs_no_process_for_each_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, processes: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    folder = tmp_path / "mixing"
    folder.mkdir()
    (folder / file).touch()
    engine = Engine(folder, InferenceOptions(), command=COMMAND)
    engine.close()
    assert len(engine.crew.members) == processes
