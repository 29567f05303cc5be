"""Parts of the local executor that need no jobs: bounded copies of streams, shares of cards."""

import os
from pathlib import Path

import pytest

from coordinator.cluster.local.devices import devices, share
from coordinator.cluster.local.logs import copy_stream, keep_as_home
from coordinator.secrecy import Mask


def copied(tmp_path: Path, data: bytes, largest: int) -> bytes:
    (tmp_path / "stream").write_bytes(data)
    copy_stream(tmp_path / "stream", tmp_path / "home" / "copy", largest=largest)
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["copy"]
    return (tmp_path / "home" / "copy").read_bytes()


@pytest.mark.parametrize("size", [0, 1, 99, 100])
def test_a_stream_that_fits_is_copied_as_it_is(tmp_path: Path, size: int) -> None:
    assert copied(tmp_path, b"x" * size, largest=100) == b"x" * size


def test_of_a_long_stream_head_and_tail_are_kept(tmp_path: Path) -> None:
    data = b"h" * 50 + b"m" * 91 + b"t" * 50
    expected = b"h" * 50 + b"\n[91 bytes left out]\n" + b"t" * 50
    assert copied(tmp_path, data, largest=100) == expected


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not yours")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "missing"):
        copy_stream(tmp_path / name, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == b""


def test_cards_are_those_allowed_else_those_there(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert devices({}, tmp_path) == ["0", "1"]
    assert devices({"CUDA_VISIBLE_DEVICES": "GPU-8a, 3"}, tmp_path) == ["GPU-8a", "3"]
    assert devices({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == []


def test_slots_have_cards_of_their_own_while_there_are_enough() -> None:
    cards = ["a", "b", "c", "d"]
    assert [share(cards, slot, 2) for slot in (0, 1, 2)] == [["a", "b"], ["c", "d"], ["a", "b"]]
    assert share(["a"], 3, 2) == ["a"]
    assert share([], 0, 1) == []


SECRET = "a-secret-that-is-known"


@pytest.mark.parametrize("before", [0, 1, 2**20 - 5, 2**20])
def test_known_secrets_do_not_come_home(tmp_path: Path, before: int) -> None:
    """Also where a secret lies across two of the pieces that are read at a time."""
    source, home = tmp_path / "stream", tmp_path / "home"
    data = b"x" * before + SECRET.encode() + b" after\n"
    source.write_bytes(data)
    copy_stream(source, home, Mask([SECRET]))
    assert home.read_bytes() == data.replace(SECRET.encode(), b"*" * len(SECRET))
    keep_as_home(source, home)
    assert source.read_bytes() == home.read_bytes()


@pytest.mark.parametrize("at", range(30, 71, 5))
def test_no_half_of_a_secret_stays_where_the_middle_is_left_out(tmp_path: Path, at: int) -> None:
    source, home = tmp_path / "stream", tmp_path / "home"
    data = b"x" * at + SECRET.encode()
    data += b"x" * (300 - len(data) - at - len(SECRET)) + SECRET.encode() + b"x" * at
    source.write_bytes(data)
    for _ in range(2):  # what was shortened stays as it is
        copy_stream(source, home, Mask([SECRET]), largest=100)
        assert b"left out" in home.read_bytes()
        halves = (SECRET[:4].encode(), SECRET[-4:].encode())
        assert not any(half in home.read_bytes() for half in halves)
        keep_as_home(source, home)
        assert source.read_bytes() == home.read_bytes()
