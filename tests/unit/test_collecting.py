"""Bringing large packs home from a store that fails now and then."""

from pathlib import Path
from typing import Any

import pytest

from coordinator.errors import StorageUnavailable
from tests.unit.test_driver import World, pipeline


@pytest.mark.parametrize("method", ["open", "copy"])
def test_a_large_pack_comes_home_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    world = World(tmp_path, count=40, lanes=1, steps=pipeline(40))
    original, calls = getattr(world.storage, method), 0

    def every_tenth_fails(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 10 == 0:
            raise StorageUnavailable(f"call {calls} is not answered")
        return original(*args)

    world.tick()
    world.work()
    monkeypatch.setattr(world.storage, method, every_tenth_fails)
    outages = 0
    while world.history("i0")[0][2] != "succeeded":
        try:
            world.tick()
        except StorageUnavailable:
            outages += 1
    assert 1 < outages <= 5
    assert calls <= 40 + outages
