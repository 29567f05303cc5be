"""Addresses that hold a secret: kept apart from the ledger, whole for the job alone."""

import stat
from dataclasses import replace
from pathlib import Path

from coordinator.clock import SystemClock
from coordinator.domain.items import WorkItem
from coordinator.ledger import Ledger, addresses
from coordinator.secrecy.sources import without_secrets

SIGNED = "https://bucket.example/text.txt?X-Amz-Date=1&X-Amz-Signature=0a1b2c3d4e"
ITEMS = (
    WorkItem("plain", assets={"source": "/text/deu.txt", "reference": "https://host/x?page=2"}),
    WorkItem("signed", assets={"source": SIGNED, "reference": "https://host/plain.txt"}),
    WorkItem("named", assets={"source": "https://reader:pass-word@host/x"}),
)


def ledger_of(folder: Path) -> Ledger:
    items = ((item, "") for item in addresses.set_aside(folder, ITEMS))
    return Ledger.create(folder, SystemClock(), {"batch": folder.name}, items)


def test_the_ledger_holds_no_secret_and_the_items_come_back_whole(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    ledger = ledger_of(folder)
    kept = [attempt.item for attempt in ledger.ready(0, fresh=True, limit=9)]
    ledger.close()
    stored = b"".join(path.read_bytes() for path in folder.glob("ledger.db*"))
    assert b"0a1b2c3d4e" not in stored and b"pass-word" not in stored
    assert kept[0] == ITEMS[0]
    assert kept[1].assets["source"] == "https://bucket.example/text.txt?***"
    assert kept[2].assets["source"] == "https://***@host/x"
    whole = [replace(item, assets=addresses.whole(folder, item)) for item in kept]
    assert sorted(whole, key=lambda item: item.id) == sorted(ITEMS, key=lambda item: item.id)
    assert stat.S_IMODE((folder / addresses.FILE).stat().st_mode) == 0o600


def test_nothing_is_set_aside_where_nothing_is_secret(tmp_path: Path) -> None:
    assert list(addresses.set_aside(tmp_path, ITEMS[:1])) == [ITEMS[0]]
    assert list(tmp_path.iterdir()) == [] and addresses.kept(tmp_path) == b""


def test_a_start_that_was_cut_short_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    begun = addresses.set_aside(tmp_path, ITEMS)
    assert [next(begun).id, next(begun).id] == ["plain", "signed"]
    begun.close()  # type: ignore[attr-defined]
    assert [item.id for item in addresses.set_aside(tmp_path, ITEMS)] == [i.id for i in ITEMS]
    bare = WorkItem("named", assets={"source": "https://***@host/x"})
    assert addresses.whole(tmp_path, bare) == ITEMS[2].assets


def test_they_move_to_another_host_and_are_forgotten_in_the_end(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    bare = list(addresses.set_aside(here, ITEMS))[1]
    assert addresses.whole(there, bare) == bare.assets  # nothing is known of it there
    addresses.put_back(there, addresses.kept(here))
    assert addresses.whole(there, bare) == ITEMS[1].assets
    assert stat.S_IMODE((there / addresses.FILE).stat().st_mode) == 0o600
    for _ in range(2):
        addresses.forget(there)
        assert addresses.whole(there, bare) == bare.assets


def test_addresses_without_a_secret_stay_as_they_are() -> None:
    for address in (
        "/a/path?token=x",
        "s3://bucket/key",
        "https://h/x?page=2",
        "no address at all",
    ):
        assert without_secrets(address) == address
    assert without_secrets("https://a-token@git.example/x") == "https://***@git.example/x"
    assert without_secrets(without_secrets(SIGNED)) == without_secrets(SIGNED)
