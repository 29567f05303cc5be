"""Prepared references in a folder: shared, and never believed without a look."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from coordinator.metrics import (
    Metric,
    MetricSpec,
    Prepared,
    PreparedStore,
    Statistics,
    load_metric,
)
from tests.corpora import damaged, sentences

REFS = sentences(7, 20)
HYPS = damaged(REFS, 7)


class Lengths(Metric):
    """Counts characters, and how often it had to prepare."""

    times = 0

    def prepare(self, references: Sequence[Sequence[str]]) -> Prepared:
        self.times += 1
        sizes = np.array([[len(text) for text in each] for each in references], dtype=np.int32)
        arrays = {"sizes": sizes, "none": np.zeros((0, 3))}
        return Prepared(len(references[0]), len(references), arrays)

    def statistics(self, hypotheses: Sequence[str], prepared: Prepared) -> Statistics:
        return np.array([[len(text)] for text in hypotheses])

    def score(self, statistics: Statistics) -> float:
        return float(statistics.sum())

    def signature(self, references: int = 1) -> str:
        return "lengths"


def entry_of(folder: Path) -> Path:
    (entry,) = folder.iterdir()
    return entry


def test_what_is_kept_is_what_was_made_and_is_mapped(tmp_path: Path) -> None:
    metric = Lengths("lengths")
    made = metric.prepare([REFS])
    for _ in range(3):
        found = PreparedStore(tmp_path / "store").prepared(metric, [REFS])
        assert (found.segments, found.references) == (20, 1)
        assert isinstance(found.arrays["sizes"], np.memmap)
        assert found.arrays["none"].shape == (0, 3)
        np.testing.assert_array_equal(found.arrays["sizes"], made.arrays["sizes"])
    assert metric.times == 2  # the first of these, and the one that was not kept


@pytest.mark.parametrize("kind", ["bleu", "chrf++", "ter"])
def test_statistics_are_the_same_from_the_folder(kind: str, tmp_path: Path) -> None:
    metric, store = load_metric(MetricSpec(kind)), PreparedStore(tmp_path)
    wanted = metric.statistics(HYPS, metric.prepare([REFS, HYPS]))
    for _ in range(2):
        prepared = store.prepared(metric, [REFS, HYPS])
        mapped = [array for array in prepared.arrays.values() if array.size]
        assert all(isinstance(array, np.memmap) for array in mapped)  # not only made and used
        np.testing.assert_array_equal(metric.statistics(HYPS, prepared), wanted)


def test_other_texts_and_other_recipes_are_other_entries(tmp_path: Path) -> None:
    metric, store = Lengths("lengths"), PreparedStore(tmp_path)
    for references in ([REFS], [HYPS], [REFS, HYPS], [HYPS, REFS], [[*REFS, ""]]):
        store.prepared(metric, references)
    assert metric.times == 5
    other = Lengths("others")
    store.prepared(other, [REFS])
    assert other.times == 1
    assert len(list(tmp_path.iterdir())) == 6


def cut(entry: Path) -> None:
    path = entry / "sizes.npy"
    path.write_bytes(path.read_bytes()[:-1])


def change(entry: Path) -> None:
    path = entry / "sizes.npy"
    data = bytearray(path.read_bytes())
    data[-4] ^= 1
    path.write_bytes(bytes(data))


def edit(entry: Path, **changes: object) -> None:
    path = entry / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))


def reach_out(entry: Path) -> None:
    described = json.loads((entry / "manifest.json").read_bytes())["arrays"]
    described["../../sizes"] = described["sizes"]
    edit(entry, arrays=described)


def other_shape(entry: Path) -> None:
    described = json.loads((entry / "manifest.json").read_bytes())["arrays"]
    described["sizes"]["shape"] = [20, 1]
    edit(entry, arrays=described)


def pickled(entry: Path) -> None:
    import hashlib

    path = entry / "sizes.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    described = json.loads((entry / "manifest.json").read_bytes())["arrays"]
    described["sizes"] = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "dtype": "|O",
        "shape": [1],
    }
    edit(entry, arrays=described)


def replace_by_a_file(entry: Path) -> None:
    for path in entry.iterdir():
        path.unlink()
    entry.rmdir()
    entry.write_text("hello")


DAMAGE: dict[str, Callable[[Path], None]] = {
    "cut": cut,
    "changed": change,
    "a file less": lambda entry: (entry / "none.npy").unlink(),
    "no manifest": lambda entry: (entry / "manifest.json").unlink(),
    "half a manifest": lambda entry: (
        (entry / "manifest.json").write_text('{"format": 1, ') and None
    ),
    "another recipe": lambda entry: edit(entry, recipe="another"),
    "other references": lambda entry: edit(entry, references_sha256="0" * 64),
    "a newer format": lambda entry: edit(entry, format=2),
    "no arrays": lambda entry: edit(entry, arrays={}),
    "a name that reaches out": reach_out,
    "another shape": other_shape,
    "objects": pickled,
    "a file in its place": replace_by_a_file,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_damaged_is_made_anew(damage: Callable[[Path], None], tmp_path: Path) -> None:
    metric, store = Lengths("lengths"), PreparedStore(tmp_path)
    wanted = np.array(store.prepared(metric, [REFS]).arrays["sizes"])
    damage(entry_of(tmp_path))
    for _ in range(2):
        found = store.prepared(metric, [REFS])
        np.testing.assert_array_equal(found.arrays["sizes"], wanted)
    assert metric.times == 2  # once at first, once for the damage, and then believed again
    assert isinstance(found.arrays["sizes"], np.memmap)


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    metric = Lengths("lengths")
    found = PreparedStore(tmp_path / "file" / "store").prepared(metric, [REFS])
    assert found.arrays["sizes"].shape == (1, 20)


def test_what_was_left_half_is_removed_after_a_while(tmp_path: Path) -> None:
    for name in (".old.part", ".new.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sizes.npy").write_bytes(b"x")
    os.utime(tmp_path / ".old.part", (0, 0))
    PreparedStore(tmp_path).tidy()
    assert [path.name for path in tmp_path.iterdir()] == [".new.part"]


def test_nothing_is_left_aside(tmp_path: Path) -> None:
    PreparedStore(tmp_path).prepared(Lengths("lengths"), [REFS])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
