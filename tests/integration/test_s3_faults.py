"""What an S3 server's refusals and failures are called here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from coordinator.errors import (
    AccessRefused,
    BadInput,
    CredentialsError,
    KeysRefused,
    SourceUnreachable,
    StorageError,
    StorageUnavailable,
    UsageError,
)
from coordinator.storage import Storage, open_location, open_storage
from tests.servers import S3Server, free_port, server_environment, web_server

ATTEMPTS = 3


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


def store_at(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> Storage:
    for name, value in server_environment(S3Server(endpoint, "k", "s")).items():
        monkeypatch.setenv(name, value)
    return open_storage("s3://test-bucket/prefix")


def refusal(code: str, message: str = "because") -> bytes:
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "ExpiredToken", KeysRefused),
        (403, "InvalidAccessKeyId", KeysRefused),
        (403, "AccessDenied", AccessRefused),
        (403, "RequestTimeTooSkewed", StorageUnavailable),
        (503, "SlowDown", StorageUnavailable),
        (500, "InternalError", StorageUnavailable),
        (404, "NoSuchBucket", StorageError),
        (501, "NotImplemented", StorageError),
    ],
)
def test_codes(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, expected: type[Exception]
) -> None:
    with web_server(lambda *_: (status, {}, refusal(code))) as server:
        store = store_at(monkeypatch, server.url)
        with pytest.raises(expected, match="s3://test-bucket/prefix/a") as caught:
            store.read("a")
        assert type(caught.value) is expected
        assert code in str(caught.value)
        tries = {StorageUnavailable: ATTEMPTS, KeysRefused: 2}.get(expected, 1)
        assert len(server.requests) == tries


def test_an_answer_in_html_from_a_proxy_is_worth_another_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [(502, {}, b"<html>bad gateway</html>"), (200, {}, b"data")]
    with web_server(lambda *_: answers.pop(0)) as server:
        assert store_at(monkeypatch, server.url).read("a") == b"data"


def test_a_body_cut_short_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = {"content-length": "100", "connection": "close"}
    answers = [(200, cut, b"half"), (200, {}, b"whole")]
    with web_server(lambda *_: answers.pop(0)) as server:
        assert store_at(monkeypatch, server.url).read("a") == b"whole"


def test_a_stream_cut_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = {"content-length": "100", "connection": "close"}
    with web_server(lambda *_: (200, cut, b"half")) as server:
        stream = store_at(monkeypatch, server.url).open("a")
        with stream, pytest.raises(StorageUnavailable):
            stream.read()


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_at(monkeypatch, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageUnavailable, match="does not answer"):
        store.write("a", b"x")


def test_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    store_at(monkeypatch, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CredentialsError, match="no access to"):
        open_storage("s3://test-bucket").read("a")


@pytest.mark.parametrize("uri", ["s3://", "s3:///x", "s3://UPPER/x", "s3://a", "s3://b_b/x"])
def test_what_is_no_bucket(uri: str) -> None:
    with pytest.raises(UsageError, match="cannot be an S3 address"):
        open_storage(uri)


@pytest.mark.parametrize("uri", ["gs://bucket/x", "http://host/x"])
def test_what_is_no_store(uri: str) -> None:
    with pytest.raises(UsageError, match="cannot be an output root"):
        open_storage(uri)


@pytest.mark.needs_s3
@pytest.mark.timeout(600)
def test_wrong_keys_at_a_real_server(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(CredentialsError, match="no access to"):
        open_storage(f"s3://{s3_bucket}").write("a", b"x")
    with pytest.raises(CredentialsError):
        open_storage(f"s3://{s3_bucket}").size("a")


@pytest.mark.needs_s3
@pytest.mark.timeout(600)
def test_a_bucket_that_is_not_there(s3_bucket: str) -> None:
    with pytest.raises(StorageError, match="NoSuchBucket") as caught:
        list(open_storage("s3://another-bucket").list(""))
    assert "make the bucket" in caught.value.hint


@pytest.mark.needs_s3
@pytest.mark.timeout(600)
def test_one_object_as_a_location(s3_bucket: str, tmp_path: Path) -> None:
    open_storage(f"s3://{s3_bucket}").write("a b/c.txt", b"text\n")
    with open_location(f"s3://{s3_bucket}/a b/c.txt") as stream:
        assert stream.read() == b"text\n"
    with pytest.raises(BadInput, match="no such object"):
        open_location(f"s3://{s3_bucket}/absent")
    with pytest.raises(BadInput, match="larger than 3 bytes"):
        open_location(f"s3://{s3_bucket}/a b/c.txt", max_bytes=3).read()


def test_a_location_whose_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    store_at(monkeypatch, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SourceUnreachable, match="s3://test-bucket/x"):
        open_location("s3://test-bucket/x")
