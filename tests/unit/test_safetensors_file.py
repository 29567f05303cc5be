from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from coordinator.domain.safetensors_file import safetensors_problem
from tests.model_folders import one_tensor, safetensors_bytes


def problem_of(folder: Path, data: bytes) -> str | None:
    path = folder / "model.safetensors"
    path.write_bytes(data)
    return safetensors_problem(path)


def test_whole_files_have_no_problem(tmp_path: Path) -> None:
    two = one_tensor() | {"v": {"dtype": "I8", "shape": [], "data_offsets": [8, 9]}}
    assert problem_of(tmp_path, safetensors_bytes(one_tensor(), bytes(8))) is None
    assert problem_of(tmp_path, safetensors_bytes(two, bytes(9))) is None
    with_notes = {"__metadata__": {"format": "pt"}} | one_tensor()
    assert problem_of(tmp_path, safetensors_bytes(with_notes, bytes(8))) is None


def test_what_the_format_s_own_library_writes_has_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    kinds = ("float16", "float32", "float64", "int8", "int64", "uint32", "bool")
    save_file({kind: np.zeros((3, 5), dtype=kind) for kind in kinds}, path)
    assert safetensors_problem(path) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut off"),
        (b"abc", "cut off"),
        ((2**64 - 1).to_bytes(8, "little") + b"{}", "claims 18446744073709551615 bytes"),
        (safetensors_bytes(one_tensor(), bytes(8))[:20], "its header claims"),
        (safetensors_bytes(one_tensor(), bytes(7)), "ends at byte 8 of 7: the file is cut off"),
        (safetensors_bytes(one_tensor(), bytes(9)), "belong to no tensor"),
        (safetensors_bytes(b"\xff\xfe", b""), "not JSON"),
        (safetensors_bytes(b"[" * 50_000, b""), "not JSON"),
        (safetensors_bytes(b"[]", b""), "not a JSON object"),
        (safetensors_bytes(b'{"w": 1, "w": 2}', b""), "twice"),
        (safetensors_bytes({"w": {}}, b""), "not described in full"),
        (safetensors_bytes({"w": 3}, b""), "not described in full"),
        (safetensors_bytes(one_tensor(shape=[3]), bytes(8)), "do not fit its shape"),
        (safetensors_bytes(one_tensor(shape=[-2]), bytes(8)), "impossible"),
        (safetensors_bytes(one_tensor(shape=[10**4000] * 2000), bytes(8)), "impossible"),
        (safetensors_bytes(one_tensor(shape=[2**62] * 500_000), bytes(8)), "impossible"),
        (safetensors_bytes(one_tensor(data_offsets=[0, 2**70]), bytes(8)), "impossible"),
        (safetensors_bytes({"w" * 5000: {}}, b""), f"{'w' * 60}' is not"),
        (safetensors_bytes(one_tensor(data_offsets=[8, 0]), bytes(8)), "ends at byte"),
        (safetensors_bytes(one_tensor() | {"v": one_tensor()["w"]}, bytes(8)), "overlap"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, data: bytes, reason: str) -> None:
    assert reason in (problem_of(tmp_path, data) or "no problem")


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_random_bytes_are_never_whole(
    tmp_path_factory: pytest.TempPathFactory, header: bytes, data: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    assert problem_of(folder, safetensors_bytes(b"x" + header, data)) == "its header is not JSON"
    assert problem_of(folder, header[:7]) is not None
