"""A stream of any length comes home within its bound, with its head and its tail."""

import io
from collections.abc import Iterator

import pytest

from coordinator.cluster.nomad import logs

BOUND = 1000


@pytest.mark.parametrize("size", [0, 1, 499, 500, 501, 1000, 1001, 1600, 20_000])
@pytest.mark.parametrize("chunk", [1, 7, 100, 500, 900, 50_000])
def test_head_and_tail_are_kept(monkeypatch: pytest.MonkeyPatch, size: int, chunk: int) -> None:
    monkeypatch.setattr(logs, "LARGEST", BOUND)
    data = bytes(n % 251 for n in range(size))
    out = io.BytesIO()
    logs._copy_bounded(pieces(data, chunk), out)
    got = out.getvalue()
    if size <= BOUND:
        assert got == data
        return
    assert len(got) <= BOUND + chunk + len(b"\n[99999 bytes left out]\n")
    head, _, rest = got.partition(b"\n[") if b" bytes left out]\n" in got else (got, b"", b"")
    if not rest:
        assert got == data
        return
    count, _, tail = rest.partition(b" bytes left out]\n")
    assert (head, len(tail) >= BOUND // 2) == (data[: BOUND // 2], True)
    assert data.endswith(tail) and len(head) + int(count) + len(tail) == size


def pieces(data: bytes, chunk: int) -> Iterator[bytes]:
    return (data[at : at + chunk] for at in range(0, len(data), chunk))
