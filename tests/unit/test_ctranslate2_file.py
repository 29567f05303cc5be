import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.domain.ctranslate2_file import BadModelFile, read_shapes
from tests.model_folders import ctranslate2_bytes, ctranslate2_text
from tests.support import REPOSITORY

DEMO = REPOSITORY / "inputs/demo/model/model.bin"
HEAD = struct.pack("<I", 6) + ctranslate2_text("TransformerSpec") + struct.pack("<I", 7)
ONE = {"w": (2, 3)}


def problem_of(folder: Path, data: bytes, real: int | None = None) -> str | None:
    path = folder / "model.bin"
    path.write_bytes(data)
    try:
        read_shapes(path, real)
    except BadModelFile as problem:
        return str(problem)
    return None


def test_tensors_and_aliases_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(ctranslate2_bytes(ONE | {"n": ()}, {"same": "w"}))
    assert read_shapes(path) == {"w": (2, 3), "n": (), "same": (2, 3)}


def test_what_ctranslate2_itself_wrote_is_whole() -> None:
    shapes = read_shapes(DEMO)
    assert shapes["encoder/embeddings_0/weight"] == shapes["decoder/projection/weight"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "a file of 0 bytes is cut off"),
        (b"\x80\x04cos\nsystem\n(S'touch ran'\ntR.", "not of CTranslate2"),
        (struct.pack("<I", 99) + HEAD[4:], "of a version that is not read here"),
        (struct.pack("<I", 6) + ctranslate2_text("WhisperSpec"), "its kind is 'WhisperSpec'"),
        (struct.pack("<IH", 6, 3) + b"\xff\xff\0", "headers are damaged"),
        (struct.pack("<IH", 6, 3) + b"abc", "headers are damaged"),
        (HEAD + struct.pack("<I", 2**32 - 1), "it claims 4294967295 tensors"),
        (ctranslate2_bytes(ONE, {})[:-5], "ends at byte"),
        (ctranslate2_bytes(ONE, {}) + b"x", "belong to no tensor"),
        (ctranslate2_bytes(ONE, {"same": "v"}), "'same' stands for 'v', which it does not hold"),
        (ctranslate2_bytes(ONE, {}, count=2), "headers are damaged"),
        (ctranslate2_bytes(ONE, {}, kind=6), "of the unknown type 6"),
        (ctranslate2_bytes(ONE, {}, size=23), "has 23 bytes, which do not fit its shape"),
        (ctranslate2_bytes({"encoder/num_heads": ()}, {}), "'encoder/num_heads' is not above 0"),
        (ctranslate2_bytes({"w": (0,) * 9}, {}), "claims 9 dimensions"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, data: bytes, reason: str) -> None:
    assert reason in (problem_of(tmp_path, data) or "no problem")


def test_a_tensor_named_twice_is_refused(tmp_path: Path) -> None:
    once = ctranslate2_bytes({"a": (1,), "b": (1,)}, {})
    assert "names a tensor 'a' twice" in (problem_of(tmp_path, once.replace(b"b\0", b"a\0")) or "")


def test_of_a_file_that_is_only_begun_the_beginning_is_checked(tmp_path: Path) -> None:
    whole = ctranslate2_bytes({f"{number}": (100, 100) for number in range(9)}, {})
    begun = whole[: 1 << 18] + bytes(len(whole) - (1 << 18))
    assert "damaged" in (problem_of(tmp_path, begun) or "no problem")
    assert problem_of(tmp_path, begun, 1 << 18) is None
    assert "not of CTranslate2" in (problem_of(tmp_path, b"\x01" + begun[1:], 1 << 18) or "")


@given(place=st.integers(0, 300), byte=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_byte_never_ends_in_a_crash(tmp_path: Path, place: int, byte: int) -> None:
    data = bytearray(ctranslate2_bytes({"w": (2, 3), "v": (2,), "n": ()}, {"same": "w"}))
    data[place % len(data)] = byte
    assert problem_of(tmp_path, bytes(data)) != ""


@pytest.mark.parametrize("kept", [0, 1, 100, 10_000, -1])
def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path, kept: int) -> None:
    assert "cut off" in (problem_of(tmp_path, DEMO.read_bytes()[:kept]) or "no problem")
