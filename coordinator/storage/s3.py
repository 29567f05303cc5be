"""Objects in an S3 bucket, below a prefix."""

import functools
import os
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

import boto3
from boto3.exceptions import Boto3Error
from botocore import exceptions as aws
from botocore.config import Config

from coordinator.errors import (
    AccessRefused,
    CredentialsError,
    KeysRefused,
    ObjectMissing,
    StorageError,
    StorageUnavailable,
    UsageError,
)
from coordinator.storage.again import again
from coordinator.storage.hrefs import split_s3
from coordinator.storage.keys import checked_folder, checked_key, checked_prefix
from coordinator.storage.streams import guarded

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef, ObjectTypeDef

CONNECT_SECONDS = 10
READ_SECONDS = 60
CONNECTIONS = 32

_ASK_FOR_RIGHTS = "let these AWS keys read and write there, or use others; then try again"

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

_MISSING = frozenset({"NoSuchKey", "NotFound", "404"})
_STALE = frozenset(
    {
        "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken",
        "RequestExpired", "SignatureDoesNotMatch", "TokenRefreshRequired", "Unauthorized", "401",
    }
)  # fmt: skip
_DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "Forbidden", "403"})
_SKEWED = "RequestTimeTooSkewed"
_UNEXPLAINED = frozenset({"400", "401", "403"})  # what a HEAD, which has no body, says of keys
_BUSY = frozenset(
    {
        "InternalError", "RequestLimitExceeded", "RequestTimeout", "RequestTimeoutException",
        "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests",
        "429", "500", "502", "503", "504",
    }
)  # fmt: skip
_NO_KEYS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
)
_CUT_OFF = (
    aws.HTTPClientError,
    aws.ConnectionError,
    aws.ResponseStreamingError,
    aws.IncompleteReadError,
    aws.ChecksumError,
    aws.FlexibleChecksumError,
)

# botocore itself tries once: one place decides how often, and says so.
_many_times = again(on=StorageUnavailable, attempts=6)


P = ParamSpec("P")
T = TypeVar("T")


def _again(
    method: Callable[Concatenate["S3Storage", P], T],
) -> Callable[Concatenate["S3Storage", P], T]:
    """Tries again what may pass, and once more with keys read anew what was refused for its keys.

    A long run outlives its keys: whoever renews them writes a file that only a new client reads.
    """

    @_many_times
    @functools.wraps(method)
    def call(self: "S3Storage", /, *args: P.args, **kwargs: P.kwargs) -> T:
        used = self._client
        try:
            return method(self, *args, **kwargs)
        except KeysRefused:
            self._client = _clients.renewed(used)
            return method(self, *args, **kwargs)

    return call


class S3Storage:
    """A bucket, or what is below a prefix of one. Safe for many threads.

    Endpoint, region and keys come from the standard AWS environment and files; these are read anew
    when keys are refused. Every method raises KeysRefused where keys are missing, expired or
    refused then too, AccessRefused where they are good and may not do this.
    """

    def __init__(self, client: "S3Client", bucket: str, prefix: str = "") -> None:
        """`prefix`: without slashes at its ends."""
        self._client, self._bucket = client, bucket
        self._prefix = f"{prefix}/" if prefix else ""

    @classmethod
    def from_uri(cls, uri: str) -> "S3Storage":
        """The store at `s3://bucket/prefix`.

        Raises:
            UsageError: the address cannot be meant.
        """
        bucket, prefix = split_s3(uri)
        if not _BUCKET.fullmatch(bucket):
            raise UsageError(
                f"{uri!r} cannot be an S3 address",
                why=f"{bucket!r} is no bucket name",
                hint="give s3://bucket/prefix",
            )
        if prefix.strip("/"):
            checked_key(prefix.strip("/"))
        with _translated(uri):
            return cls(_clients.current(), bucket, prefix.strip("/"))

    @property
    def uri(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def probe(self) -> None:
        folder = f".coordinator-probe/{uuid.uuid4().hex}/"  # another's probe is let alone
        self.write(f"{folder}probe", b"probe")
        self.read(f"{folder}probe")
        self.delete(folder)

    @_again
    def read(self, key: str) -> bytes:
        with self._open(key) as stream:
            return stream.read()

    @_again
    def open(self, key: str) -> BinaryIO:
        return self._open(key)

    def _open(self, key: str) -> BinaryIO:
        with self._asking(key):
            body = self._client.get_object(Bucket=self._bucket, Key=self._key(key))["Body"]
        return guarded(body.read, body.close, functools.partial(self._asking, key))

    @_again
    def write(self, key: str, data: bytes) -> None:
        with self._asking(key):
            self._client.put_object(Bucket=self._bucket, Key=self._key(key), Body=data)

    @_again
    def upload(self, path: Path, key: str) -> None:
        """In parts and several at a time where the file is large."""
        try:
            stream = path.open("rb")
        except FileNotFoundError as error:
            raise ObjectMissing(f"{path} is not there") from error
        with stream, self._asking(key):
            self._client.upload_fileobj(stream, self._bucket, self._key(key))

    @_again
    def copy(self, source: str, target: str) -> None:
        origin = {"Bucket": self._bucket, "Key": self._key(source)}
        with self._asking(source):
            self._client.copy(origin, self._bucket, self._key(target))  # type: ignore[arg-type]

    @_again
    def size(self, key: str) -> int | None:
        try:
            with self._asking(key):
                return self._head(self._key(key))
        except ObjectMissing:
            return None

    def _head(self, key: str) -> int:
        """An object's size. The answer to a HEAD has no body: another question gets the reason."""
        try:
            return self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"]
        except aws.ClientError as error:
            if error.response.get("Error", {}).get("Code") in _UNEXPLAINED:
                self._client.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)
            raise

    def list(self, prefix: str) -> Iterator[str]:
        for page in self._pages(checked_prefix(prefix)):
            yield from page

    def versions(self) -> dict[str, tuple[int, str]]:
        """Every key of the store with its size in bytes and what changes when its content does."""
        found: dict[str, tuple[int, str]] = {}
        while entries := self._entries("", max(found, default="")):
            for entry in entries:
                key = entry["Key"][len(self._prefix) :]
                found[key] = (entry["Size"], entry["ETag"])
        return found

    def remove(self, key: str) -> None:
        self._delete([checked_key(key)])

    def delete(self, prefix: str) -> int:
        count = 0
        for page in self._pages(checked_folder(prefix)):
            self._delete(page)
            count += len(page)
        return count

    def _pages(self, prefix: str) -> Iterator[Sequence[str]]:
        after = ""
        while page := self._page(prefix, after):
            yield page
            after = page[-1]

    def _page(self, prefix: str, after: str) -> Sequence[str]:
        """Up to 1,000 keys that come after `after`: as many as one request may also delete."""
        return [entry["Key"][len(self._prefix) :] for entry in self._entries(prefix, after)]

    @_again
    def _entries(self, prefix: str, after: str) -> Sequence["ObjectTypeDef"]:
        with self._asking(prefix):
            found = self._client.list_objects_v2(
                Bucket=self._bucket,
                Prefix=self._prefix + prefix,
                StartAfter=self._prefix + after if after else "",
            )
        return found.get("Contents", [])

    @_again
    def _delete(self, keys: Sequence[str]) -> None:
        objects: Sequence[ObjectIdentifierTypeDef] = [{"Key": self._prefix + key} for key in keys]
        with self._asking(keys[0]):
            done = self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
            )
        for fault in done.get("Errors", []):
            raise _of_code(fault.get("Code", ""), fault.get("Key", ""), fault.get("Message", ""))

    def _key(self, key: str) -> str:
        return self._prefix + checked_key(key)

    def _asking(self, key: str) -> AbstractContextManager[None]:
        return _translated(f"s3://{self._bucket}/{self._prefix}{key}")


def open_bucket(bucket: str) -> S3Storage:
    """A whole bucket, to read from."""
    return S3Storage.from_uri(f"s3://{bucket}")


def _aws_settings() -> tuple[tuple[str, str], ...]:
    """What a client was made from: another endpoint or key in the environment needs another one."""
    return tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_")))


class _Clients:
    """One client for the same settings: making one reads files, and takes a tenth of a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settings: tuple[tuple[str, str], ...] | None = None
        self._client: S3Client | None = None

    def current(self) -> "S3Client":
        with self._lock:
            return self._client_now()

    def renewed(self, used: "S3Client") -> "S3Client":
        """One that is younger than `used`, whose keys were refused; many threads share it."""
        with self._lock:
            if self._client is used:
                self._settings = None
            return self._client_now()

    def _client_now(self) -> "S3Client":
        settings = _aws_settings()
        if self._client is None or settings != self._settings:
            self._client, self._settings = _made_client(), settings
        return self._client


_clients = _Clients()


def _made_client() -> "S3Client":
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        retries={"total_max_attempts": 1},
    )
    client = _new_client(config)
    if _is_of_amazon(client.meta.endpoint_url):
        return client
    # Other servers seldom answer to bucket names as host names, nor know the newest checksums.
    plain = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return _new_client(config.merge(plain))


def _new_client(config: Config) -> "S3Client":
    client: S3Client = boto3.session.Session().client("s3", config=config)
    return client


def _is_of_amazon(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except aws.ClientError as error:
        told = error.response.get("Error", {})
        raise _of_code(told.get("Code", ""), name, told.get("Message", "")) from error
    except _NO_KEYS as error:
        raise _no_access(name, str(error)) from error
    except RuntimeError as error:  # how botocore says that keys with an end of their own are over
        if "expired" not in str(error):
            raise
        raise _no_access(name, "the AWS keys have expired") from error
    except _CUT_OFF as error:
        raise _busy(name, str(error)) from error
    except (aws.BotoCoreError, Boto3Error) as error:
        raise StorageError(
            f"{name} cannot be read or written", why=str(error), hint="check the AWS settings"
        ) from error


def _of_code(code: str, name: str, message: str) -> StorageError | CredentialsError:
    """The error that S3's own `code` means."""
    why = f"{message} ({code})" if message else code
    if code in _MISSING:
        return ObjectMissing(f"{name} is not there", why=why)
    if code in _STALE:
        return _no_access(name, why)
    if code in _DENIED:
        return AccessRefused(f"no access to {name}", why=why, hint=_ASK_FOR_RIGHTS)
    if code == _SKEWED:
        return StorageUnavailable(
            f"{name} cannot be read or written",
            why=f"the clock of {socket.gethostname()} is off: {why}",
            hint=f"check the clock of {socket.gethostname()}",
        )
    if code in _BUSY:
        return _busy(name, why)
    hint = "make the bucket, or check its name" if code == "NoSuchBucket" else ""
    return StorageError(f"{name} cannot be read or written", why=why, hint=hint)


def _no_access(name: str, why: str) -> KeysRefused:
    return KeysRefused(
        f"no access to {name}",
        why=why,
        hint="renew the AWS keys, then try again",
    )


def _busy(name: str, why: str) -> StorageUnavailable:
    return StorageUnavailable(
        f"{name} does not answer", why=why, hint="check the network and the store, then try again"
    )
