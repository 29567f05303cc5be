"""A long run on a real S3 server outlives its keys, and a half upload is never an object."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from coordinator.errors import AccessRefused, CredentialsError, StorageUnavailable
from coordinator.storage import Storage, open_storage
from tests.fault_proxy import FaultProxy, Passing, fault_proxy, refusal
from tests.servers import Answer, S3Server

LARGE = 20 << 20  # bytes; more than S3 takes in one part

pytestmark = [pytest.mark.needs_s3, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.fixture
def proxy(
    s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultProxy]:
    with fault_proxy(s3_server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def store(proxy: FaultProxy, s3_bucket: str) -> Storage:
    return open_storage(f"s3://{s3_bucket}/keys")


def refuse(proxy: FaultProxy, code: str, times: int, status: int = 400) -> None:
    """The next requests are refused; a HEAD is refused without a reason, as by S3."""
    left = [refusal(code, status)] * times

    def fault(request: Passing) -> Answer | None:
        if not left:
            return None
        answer = left.pop()
        return (status, {}, b"") if request.method == "HEAD" else answer

    proxy.fault = fault


def write_keys(path: Path, server: S3Server, secret: str) -> None:
    keys = f"aws_access_key_id={server.access_key}\naws_secret_access_key={secret}\n"
    path.write_text(f"[default]\n{keys}")


def test_a_renewed_file_is_noticed_by_a_store_that_is_open(
    s3_bucket: str, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    write_keys(tmp_path / "keys", s3_server, "an-old-secret")
    store = open_storage(f"s3://{s3_bucket}/keys")
    with pytest.raises(CredentialsError):
        store.write("a", b"one")
    write_keys(tmp_path / "keys", s3_server, s3_server.secret_key)
    store.write("a", b"one")
    assert store.read("a") == b"one"


def test_keys_are_read_anew_once(store: Storage, proxy: FaultProxy) -> None:
    store.write("a", b"one")
    refuse(proxy, "ExpiredToken", times=1)
    assert store.read("a") == b"one"
    refuse(proxy, "ExpiredToken", times=2)
    with pytest.raises(CredentialsError, match="ExpiredToken"):
        store.read("a")
    assert store.read("a") == b"one"


def test_a_head_without_a_body_gets_its_reason(store: Storage, proxy: FaultProxy) -> None:
    store.write("a", b"one")
    refuse(proxy, "ExpiredToken", times=99)
    with pytest.raises(CredentialsError, match="ExpiredToken"):
        store.size("a")
    refuse(proxy, "", times=0)
    assert store.size("a") == 3


def test_a_missing_right_is_not_asked_for_twice(store: Storage, proxy: FaultProxy) -> None:
    refuse(proxy, "AccessDenied", times=9, status=403)
    with pytest.raises(AccessRefused, match="AccessDenied") as caught:
        store.write("a", b"one")
    assert len(proxy.seen) == 1
    assert "let these AWS keys" in caught.value.hint


def test_a_clock_that_is_off_is_no_fault_of_the_keys(store: Storage, proxy: FaultProxy) -> None:
    refuse(proxy, "RequestTimeTooSkewed", times=9, status=403)
    with pytest.raises(StorageUnavailable, match="the clock of") as caught:
        store.write("a", b"one")
    assert caught.value.hint.startswith("check the clock of ")


@pytest.mark.parametrize("code", ["SlowDown", "ExpiredToken"])
def test_a_cut_in_a_large_upload_is_mended(
    store: Storage, proxy: FaultProxy, tmp_path: Path, code: str
) -> None:
    (tmp_path / "large").write_bytes(bytes(LARGE))
    faults = [refusal(code, 503 if code == "SlowDown" else 400)]
    proxy.fault = lambda request: faults.pop() if is_second_part(request) and faults else None
    store.upload(tmp_path / "large", "large")
    assert store.size("large") == LARGE
    assert not faults


def test_half_a_large_upload_is_no_object(
    store: Storage, proxy: FaultProxy, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(bytes(LARGE))
    proxy.fault = lambda request: refusal("SlowDown", 503) if is_second_part(request) else None
    with pytest.raises(StorageUnavailable):
        store.upload(tmp_path / "large", "large")
    assert store.size("large") is None
    assert list(store.list("")) == []


def is_second_part(request: Passing) -> bool:
    return request.method == "PUT" and "partNumber=2" in request.path
