"""Files from outside: what is no text, no model and no settings is refused by name, never run."""

import gzip
import io
import json
import lzma
import os
import pickle
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from coordinator.catalog import Needs, open_source, read_item_list, select_items
from coordinator.commands.models import checked_model
from coordinator.domain.handoff import Handoff, HandoffItem
from coordinator.domain.model_folder import check_model
from coordinator.errors import BadInput, ModelError, ObjectMissing, StorageError
from coordinator.pipelines import read_pipeline
from coordinator.settings import load_settings, parse_yaml
from coordinator.storage import open_storage
from coordinator.workers.frame import run_worker
from tests import stac
from tests.model_folders import one_tensor, safetensors_bytes, write_huggingface

# links, pipes and devices where files should be


def special_files(folder: Path, elsewhere: Path) -> list[str]:
    """Names of what is made in `folder` that is no plain file; `elsewhere` is not to be touched."""
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(elsewhere / "secret")
    (folder / "climbing").symlink_to("../../../elsewhere/secret")
    (folder / "loop").symlink_to("loop")
    (folder / "proc").symlink_to("/proc/self/environ")
    (folder / "zero").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe")
    names = ["link", "climbing", "loop", "proc", "zero", "pipe"]
    with suppress(PermissionError):  # a right of root
        os.mknod(folder / "device", stat.S_IFCHR | 0o600, os.makedev(1, 5))
        names.append("device")
    return names


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "secret").write_text("secret")
    return folder


def test_only_plain_files_of_an_output_folder_are_objects(tmp_path: Path, elsewhere: Path) -> None:
    names = special_files(tmp_path / "root/b/items", elsewhere)
    store = open_storage(str(tmp_path / "root"))
    store.write("b/items/good", b"x")
    assert list(store.list("")) == ["b/items/good"]
    for name in names:
        key = f"b/items/{name}"
        assert store.size(key) is None
        for read in (store.read, store.open, lambda key: store.copy(key, "copied")):
            with pytest.raises(ObjectMissing, match="not opened") as caught:
                read(key)
            assert "secret:" not in str(caught.value)
        store.write(key, b"ours")  # in its place, not through it
        assert store.read(key) == b"ours"
    assert (elsewhere / "secret").read_text() == "secret"


def test_a_link_to_another_batch_is_not_followed(tmp_path: Path) -> None:
    store = open_storage(str(tmp_path))
    store.write("theirs/items/a/s/a1/outcome.json", b"theirs")
    (tmp_path / "ours").symlink_to("theirs")
    (tmp_path / "mine/items").mkdir(parents=True)
    (tmp_path / "mine/items/a").symlink_to("../../theirs/items/a")
    before = {path: path.lstat().st_mtime_ns for path in (tmp_path / "theirs").rglob("*")}
    actions: list[Callable[[], object]] = [
        lambda: store.delete("ours/"),
        lambda: store.delete("ours/items/"),
        lambda: store.write("ours/items/a/s/a1/outcome.json", b"x"),
        lambda: store.write("mine/items/a/s/a2/outcome.json", b"x"),
        lambda: store.read("mine/items/a/s/a1/outcome.json"),
        lambda: list(store.list("ours/")),
    ]
    for action in actions:
        with pytest.raises(StorageError, match="is a symbolic link") as caught:
            action()
        assert "not followed" in caught.value.why and caught.value.hint
    store.delete("mine/")
    assert not (tmp_path / "mine").exists()
    assert before == {path: path.lstat().st_mtime_ns for path in (tmp_path / "theirs").rglob("*")}


def test_of_what_a_job_leaves_plain_files_are_kept_and_the_rest_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script = "ln -s /etc/passwd link; mkfifo pipe; mkdir folder; echo x > folder/x; echo y > good"
    handoff = Handoff(
        batch="b",
        dispatch="d",
        step="s",
        job="command",
        output_root=str(tmp_path),
        options={"command": ["sh", "-c", script]},
        items=(HandoffItem(item="a", attempt=1),),
    )
    (tmp_path / "h.json").write_text(handoff.model_dump_json())
    assert run_worker(str(tmp_path), "h.json") == 0
    left = tmp_path / "b/items/a/s/a1"
    assert {path.name for path in left.iterdir()} == {
        "begun.json",
        "good",
        "outcome.json",
        "stdout.txt",
    }
    [said] = [line for line in capfd.readouterr().err.splitlines() if "left_out" in line]
    assert json.loads(said)["left_out"] == ["folder", "link", "pipe"]


@pytest.mark.timeout(20)
def test_no_reader_waits_at_a_pipe_or_reads_a_device(tmp_path: Path, elsewhere: Path) -> None:
    names = set(special_files(tmp_path / "root", elsewhere)) - {"link", "climbing", "proc"}
    for name in names:  # a user's own link to a file is followed, to what is none it is not
        path = tmp_path / "root" / name
        with pytest.raises(BadInput, match=name):
            read_item_list(path)
        with pytest.raises(BadInput, match=name):
            select_items(open_source(str(path)), None, Needs())
        with pytest.raises(ModelError, match=name):
            checked_model(str(path))


# archives: nothing here unpacks any


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return out.getvalue()


def zipped_link() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        entry = zipfile.ZipInfo("handler.py")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return out.getvalue()


def tarred(**changes: object) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("handler.py")
        for name, value in changes.items():
            setattr(entry, name, value)
        archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    return out.getvalue()


BOMB = bytes(20 << 20)
ARCHIVES = {
    "bomb.zip": zipped(a=BOMB),
    "nested.zip": zipped(a=zipped(a=zipped(a=bytes(1 << 20)))),
    "many.zip": zipped(**{f"f{n}": b"" for n in range(2000)}),
    "climbing.zip": zipped(**{"..__..__escaped": b"x"}),
    "absolute.zip": zipped(__tmp__escaped=b"x"),
    "link.zip": zipped_link(),
    "model.zip": zipped(**{"handler.py": b"class Handler: pass", "config.json": b"{}"}),
    "climbing.tar": tarred(name="../../escaped"),
    "absolute.tar": tarred(name="/tmp/escaped"),
    "link.tar": tarred(type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hardlink.tar": tarred(type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "device.tar": tarred(type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "pipe.tar": tarred(type=tarfile.FIFOTYPE),
    "setuid.tar": tarred(size=4, uid=0, mode=0o4755),
    "bomb.tar.gz": gzip.compress(tarred(size=20 << 20)),
    "bomb.tar.xz": lzma.compress(tarred(size=20 << 20)),
    "text.gz": gzip.compress(b"eng-fra\n" * 1000),
}
assert len(ARCHIVES) >= 15


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    for name, data in ARCHIVES.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_refused_by_name_and_not_unpacked(archives: Path, name: str) -> None:
    path = archives / name
    needs = Needs(assets=frozenset({"source"}), aligned=(("source", "reference"),))
    stac.write(archives / "item.json", stac.item("a", assets=_assets(name)))
    with pytest.raises(ModelError, match=name) as caught:
        checked_model(str(path))
    assert "it is a file" in caught.value.why
    with pytest.raises(BadInput, match=name):
        select_items(open_source(str(path)), None, needs)
    with pytest.raises(BadInput, match=name):
        read_pipeline(path)
    found = select_items(open_source(str(archives / "item.json")), None, needs)
    assert not found.items and "assets." in str(found.problems[0])
    refused_list(path)
    assert {each.name for each in archives.iterdir()} <= {*ARCHIVES, "item.json"}
    assert not Path("/tmp/escaped").exists()


def refused_list(path: Path) -> None:
    """Refused as a whole, or no line of it is taken for an id."""
    try:
        found = read_item_list(path)
    except BadInput as error:
        assert path.name in str(error)
        return
    assert not found.ids and found.bad


def _assets(name: str) -> dict[str, object]:
    return {"source": {"href": name}, "reference": {"href": "bomb.zip"}}


# models


class Witness:
    """Pickled, it touches a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


def models(folder: Path, witness: Path) -> Iterator[tuple[Path, str]]:
    """Folders that must not be used, each with the file that has to be named."""
    evil = pickle.dumps(Witness(witness))
    for name in ("pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", "model.pkl"):
        made = write_huggingface(folder / name)
        (made / "model.safetensors").unlink()
        (made / name).write_bytes(evil)
        yield made, name
    whole = safetensors_bytes(one_tensor(), bytes(8))
    two = one_tensor() | {"v": one_tensor()["w"]}
    weights = {
        "a pickle under another name": evil,
        "a header of 2^64 bytes": (2**64 - 1).to_bytes(8, "little") + b"{}",
        "cut off": whole[:-1],
        "cut in its header": whole[:20],
        "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
        "overlapping": safetensors_bytes(two, bytes(8)),
        "beyond its end": safetensors_bytes(one_tensor(data_offsets=[0, 1 << 60]), bytes(8)),
        "before its start": safetensors_bytes(one_tensor(data_offsets=[-8, 0]), bytes(8)),
        "nested without end": safetensors_bytes(b"[" * 100_000, b""),
        "no tensors, much data": safetensors_bytes({}, bytes(1000)),
        "an archive": zipped(data__pkl=evil),
        "empty": b"",
    }
    for name, data in weights.items():
        made = write_huggingface(folder / name)
        (made / "model.safetensors").write_bytes(data)
        yield made, "model.safetensors"
    shards = write_huggingface(folder / "shards elsewhere")
    (shards / "model.safetensors").unlink()
    index = {"weight_map": {"w": "../../outside.safetensors", "v": "evil.bin"}}
    (shards / "model.safetensors.index.json").write_text(json.dumps(index))
    yield shards, "model.safetensors.index.json"
    code = write_huggingface(folder / "code")
    (code / "config.json").write_text('{"model_type": "evil", "auto_map": {"AutoModel": "x.Y"}}')
    (code / "x.py").write_text(f"import os; os.system('touch {witness}')")
    yield code, "config.json"
    deep = folder / "deep handler"
    deep.mkdir()
    (deep / "handler.py").write_text("-" * 100_000 + "1")
    yield deep, "handler.py"


def test_a_hostile_model_is_refused_by_its_file_and_never_loaded(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    refused = list(models(tmp_path, witness))
    assert len(refused) >= 12
    for folder, name in refused:
        began = time.process_time()
        with pytest.raises(ModelError) as caught:
            check_model(folder)
        told = [str(caught.value), *map(str, caught.value.problems)]
        assert any(name in line for line in told), folder.name
        assert caught.value.hint or caught.value.problems
        assert time.process_time() - began < 1
    assert not witness.exists()


def test_a_worker_refuses_them_before_it_loads_anything_that_takes_a_gpu(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    folders = [str(folder) for folder, _ in models(tmp_path, witness)]
    code = (
        "import sys\nfrom pathlib import Path\nfrom coordinator.errors import ModelError\n"
        "from coordinator.inference import load_model\nrefused = 0\n"
        "for folder in sys.argv[1:]:\n"
        "    try:\n        load_model(Path(folder))\n"
        "    except ModelError:\n        refused += 1\n"
        "print(refused, 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *folders], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(len(folders)), "False"]
    assert not witness.exists()


# YAML

LAUGHS = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
YAML = {
    "10^9 laughs": ("a0: &a0 x\n" + LAUGHS, 2),
    "an object": ("name: !!python/object/apply:os.system ['touch /tmp/pwned']\n", 1),
    "a class": ("name: p\nsteps: !!python/name:os.system\n", 2),
    "a module": ("name: p\nx: !!python/module:this\n", 2),
    "a key twice": ("name: p\nsteps: []\nname: q\n", 3),
    "an alias of itself": ("name: &a [*a]\n", 1),
    "a merge": ("name: p\nbase: &b {x: 1}\nsteps:\n  <<: *b\n", 4),
    "nested without end": ("a: " + "[" * 100_000, 1),
    "nested mappings": ("{a: " * 50_000, 1),
    "a list in lists": ("- " * 100_000 + "x\n", 1),
    "a key that is a list": ("? [a, b]\n: x\n", 1),
    "a key that is a mapping": ("name: p\n? {a: b}\n: x\n", 2),
    "a number without end": ("name: p\nx: " + "9" * 100_000 + "\n", 2),
    "an unknown tag": ("name: p\nx: !evil y\n", 2),
    "a directive": ("%YAML 9.9\n---\nname: p\n", 1),
    "two documents": ("name: p\n---\nname: q\n", 2),
    "a NUL": ("name: a\0b\n", 1),
    "a tab": ("name: p\n\tsteps: []\n", 2),
    "an open quote": ('name: "p\n' + "x\n" * 1000, 1002),
}
assert len(YAML) >= 10


@pytest.mark.parametrize("name", YAML)
def test_a_hostile_settings_or_pipeline_file_is_refused_with_its_line_within_a_second(
    tmp_path: Path, name: str
) -> None:
    text, _ = YAML[name]
    path = tmp_path / "hostile.yml"
    path.write_text(text)
    for read in (read_pipeline, load_settings):
        began = time.process_time()
        with pytest.raises(BadInput) as caught:
            read(path)
        assert time.process_time() - began < 1
        told = [str(caught.value), *map(str, caught.value.problems)]
        assert any("hostile.yml" in line for line in told)
    assert not Path("/tmp/pwned").exists()


@pytest.mark.parametrize("name", YAML)
def test_the_line_is_said(name: str) -> None:
    text, line = YAML[name]
    with pytest.raises(BadInput, match=rf"hostile\.yml:{line}\b"):
        parse_yaml(text.encode(), "hostile.yml")


@pytest.mark.parametrize(
    "word", ["no", "NO", "on", "y", "Yes", "off", "1:30", "0777", "1e3", "2024-01-01"]
)
def test_a_word_of_a_yaml_file_stays_the_word(word: str) -> None:
    """`no` is a country, not false; `1:30` is no number of minutes."""
    assert parse_yaml(f"country: {word}\n".encode(), "f").data == {"country": word}
