"""Models that lie in a bucket: checked without being fetched, fetched once for each version."""

import json
from pathlib import Path

import pytest

from coordinator.commands.models import checked_model, compare_manifest, make_manifest
from coordinator.errors import BadInput, ModelError, StorageError
from coordinator.storage import folders, local_folder, model_cache, open_storage, sketched_folder
from coordinator.storage.manifests import local_manifest
from coordinator.storage.s3 import S3Storage
from tests.model_folders import write_huggingface

pytestmark = [pytest.mark.needs_s3, pytest.mark.timeout(600)]

HANDLER = """
class Handler:
    def load(self, model_dir, device):
        self.word = (model_dir / "word.txt").read_text()

    def translate(self, sentences, source_language, target_language):
        return [self.word for _ in sentences]
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv(model_cache.FOLDER, str(folder))
    return folder


def put_handler(bucket: str, word: str) -> str:
    storage = open_storage(f"s3://{bucket}/models/mine")
    storage.write("handler.py", HANDLER.encode())
    storage.write("word.txt", word.encode())
    return storage.uri


def test_it_is_fetched_once_for_each_version(s3_bucket: str, cache: Path) -> None:
    address = put_handler(s3_bucket, "one")
    first = local_folder(address)
    made = first.stat().st_mtime_ns
    assert local_folder(address) == first and first.stat().st_mtime_ns == made
    put_handler(s3_bucket, "two")  # of the same size
    second = local_folder(address)
    assert [(folder / "word.txt").read_text() for folder in (first, second)] == ["one", "two"]
    assert not list(cache.glob(".part-*"))


def test_a_fetch_that_fails_leaves_nothing(
    s3_bucket: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = put_handler(s3_bucket, "one")

    def fail(*_: object) -> None:
        raise StorageError("cut off")

    with monkeypatch.context() as patch:
        patch.setattr(folders.shutil, "copyfileobj", fail)
        with pytest.raises(StorageError, match="cut off"):
            local_folder(address)
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    assert (local_folder(address) / "word.txt").read_text() == "one"


def test_a_large_model_is_checked_by_its_beginning(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_huggingface(tmp_path / "model")
    storage = open_storage(f"s3://{s3_bucket}/m2m")
    for path in (tmp_path / "model").iterdir():
        storage.upload(path, path.name)
    weights = (tmp_path / "model" / "model.safetensors").read_bytes()
    header = 8 + int.from_bytes(weights[:8], "little")
    monkeypatch.setattr(folders, "SKETCHED_BYTES", header)
    with sketched_folder(storage.uri) as sketch:
        sketched = (sketch / "model.safetensors").read_bytes()
    assert (len(sketched), sketched[:header]) == (len(weights), weights[:header])
    assert sketched[header:].count(0) == len(weights) - header
    assert checked_model(storage.uri).kind == "huggingface"
    storage.write("model.safetensors", weights[:-1])
    with pytest.raises(ModelError) as caught:
        checked_model(storage.uri)
    assert f"{storage.uri}/model.safetensors" in str(caught.value)


def test_what_is_not_there_is_said(s3_bucket: str) -> None:
    with pytest.raises(BadInput, match=f"nothing is at s3://{s3_bucket}/models/none"):
        checked_model(f"s3://{s3_bucket}/models/none")


def test_names_that_lead_elsewhere_are_refused(s3_bucket: str) -> None:
    address = put_handler(s3_bucket, "one")
    found = {"../../elsewhere": (1, "etag")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("coordinator.storage.s3.S3Storage.versions", lambda _: found)
        with pytest.raises(StorageError, match="elsewhere"):
            local_folder(address)


def test_a_worker_translates_with_it(s3_bucket: str, tmp_path: Path) -> None:
    from coordinator.domain.handoff import Handoff, HandoffItem, InputRef
    from coordinator.domain.work import Done, Parcel
    from coordinator.workers.inference import InferenceJob

    (tmp_path / "text").write_text("a\nb\n")
    item = HandoffItem(
        item="one",
        attempt=1,
        properties={"mt:source_language": "deu", "mt:target_language": "eng"},
        inputs={"source": InputRef(href=str(tmp_path / "text"))},
    )
    handoff = Handoff(
        batch="b",
        dispatch="d",
        step="translate",
        job="inference",
        output_root=str(tmp_path),
        model=put_handler(s3_bucket, "yes"),
        trust_model_code=True,
        items=(item,),
    )
    parcel = Parcel(item, {"source": tmp_path / "text"}, tmp_path)
    [(_, done)] = InferenceJob(handoff).run_all([parcel])
    assert isinstance(done, Done)
    lines = (tmp_path / "translations.jsonl").read_text().splitlines()
    assert [json.loads(line)["translation"] for line in lines] == ["yes", "yes"]


# manifests


def put_weights(bucket: str, folder: Path) -> str:
    storage = open_storage(f"s3://{bucket}/weights")
    for path in write_huggingface(folder).iterdir():
        storage.upload(path, path.name)
    return storage.uri


def test_a_manifest_names_what_nodes_fetch_and_check(
    s3_bucket: str, cache: Path, tmp_path: Path
) -> None:
    address = put_weights(s3_bucket, tmp_path / "model")
    assert checked_model(address).manifest is None
    made = make_manifest(address)
    assert compare_manifest(address) == made == local_manifest(tmp_path / "model")
    assert checked_model(address).manifest == made
    open_storage(address).write("beside.txt", b"no part of it")
    folder = local_folder(address, made)
    assert {path.name for path in folder.iterdir()} == {file.name for file in made.files}
    assert folder.parent == cache


def test_what_is_not_as_the_manifest_says_is_refused(s3_bucket: str, tmp_path: Path) -> None:
    address = put_weights(s3_bucket, tmp_path / "model")
    made = make_manifest(address)
    open_storage(address).write("vocab.json", b"[]")  # of the same size
    assert checked_model(address).manifest == made  # sizes are all that is looked at here
    for check in (lambda: compare_manifest(address), lambda: local_folder(address, made)):
        with pytest.raises(ModelError) as caught:
            check()
        assert "vocab.json" in str(caught.value)
    open_storage(address).write("vocab.json", b"{ }")
    with pytest.raises(ModelError) as caught:
        checked_model(address)
    assert f"{address}/vocab.json" in str(caught.value)


def test_a_fetch_that_was_killed_is_gone_on_with(
    s3_bucket: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = put_weights(s3_bucket, tmp_path / "model")
    made = make_manifest(address)
    part = cache / f".part-{made.digest[:32]}"
    part.mkdir(parents=True)
    for name in ("model.safetensors", "vocab.json"):
        (part / name).write_bytes((tmp_path / "model" / name).read_bytes())
    (part / "vocab.json").write_bytes(b"[]")  # cut short, or damaged
    opened: list[str] = []
    plain_open = S3Storage.open
    monkeypatch.setattr(
        S3Storage, "open", lambda store, key: (opened.append(key), plain_open(store, key))[1]
    )
    folder = local_folder(address, made)
    assert local_manifest(folder) == made
    assert sorted(opened) == ["config.json", "sentencepiece.bpe.model", "vocab.json"]


def test_a_handler_in_a_bucket_runs_only_where_it_is_trusted(s3_bucket: str) -> None:
    address = put_handler(s3_bucket, "one")
    with pytest.raises(ModelError) as caught:
        checked_model(address)
    assert "--trust-model-code" in caught.value.hint
    assert checked_model(address, trust_code=True).kind == "handler"
