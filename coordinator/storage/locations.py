"""Reading one file from wherever it lies: a local path, file://, http(s):// or s3://."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO

from coordinator.errors import BadInput, ObjectMissing, SourceUnreachable, StorageError
from coordinator.storage.hrefs import is_remote, local_path, scheme_of, shown, split_s3
from coordinator.storage.streams import guarded

__all__ = ["MAX_BYTES", "is_remote", "open_location"]

MAX_BYTES = 1 << 30  # no text file or catalog comes near: more is a mistake or an attack


def open_location(href: str, *, max_bytes: int = MAX_BYTES) -> BinaryIO:
    """A stream of the bytes at `href`. Reading it may raise what opening it raises.

    Raises:
        BadInput: nothing is there, or it is no file, too large, or of an unknown scheme.
        SourceUnreachable: its server does not answer or refuses.
        CredentialsError: the keys for S3 are missing, expired or refused.
    """
    scheme = scheme_of(href)
    if scheme in ("http", "https"):
        return _open_http(href, max_bytes)
    if scheme == "s3":
        return _open_s3(href, max_bytes)
    if scheme not in ("", "file"):
        raise _refused(href, f"the scheme {scheme!r} is not known", "give a path, http(s) or s3")
    return _open_path(local_path(href), max_bytes)


def _open_path(path: str, max_bytes: int) -> BinaryIO:
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _refused(path, why.lower(), "check the path and the rights") from error
    found = os.fstat(descriptor)
    reason = "" if stat.S_ISREG(found.st_mode) else "it is not a regular file"
    if found.st_size > max_bytes:
        reason = _too_large(max_bytes)
    if reason:
        os.close(descriptor)
        raise _refused(path, reason, "check the path")
    return os.fdopen(descriptor, "rb")


def _open_http(href: str, max_bytes: int) -> BinaryIO:
    from coordinator.storage import http  # takes a while to import

    response = http.ask(href)

    def read(size: int) -> bytes:
        return bytes(response.raw.read(size, decode_content=True))

    def guard() -> AbstractContextManager[None]:
        return http.reading(href)

    return guarded(_capped(read, href, max_bytes), response.close, guard)


def _open_s3(href: str, max_bytes: int) -> BinaryIO:
    from coordinator.storage.s3 import open_bucket  # boto3 takes a while to import

    bucket, key = split_s3(href)
    with _as_source(href):
        stream = open_bucket(bucket).open(key)

    def guard() -> AbstractContextManager[None]:
        return _as_source(href)

    return guarded(_capped(stream.read, href, max_bytes), stream.close, guard)


@contextmanager
def _as_source(href: str) -> Iterator[None]:
    """A store's errors as those of a source."""
    try:
        yield
    except ObjectMissing as error:
        raise _refused(href, "there is no such object", "check the address") from error
    except StorageError as error:
        raise SourceUnreachable(
            f"{shown(href)} cannot be read", why=str(error), hint=error.hint
        ) from error


def _capped(read: Callable[[int], bytes], href: str, max_bytes: int) -> Callable[[int], bytes]:
    """`read`, which refuses to give more than `max_bytes` in all."""
    total = 0

    def capped(size: int) -> bytes:
        nonlocal total
        data = read(size)
        total += len(data)
        if total > max_bytes:
            raise _refused(href, _too_large(max_bytes), "check the address")
        return data

    return capped


def _too_large(max_bytes: int) -> str:
    return f"it is larger than {max_bytes:,} bytes"


def _refused(href: str, why: str, hint: str) -> BadInput:
    return BadInput(f"{shown(href)} cannot be read", why=why, hint=hint)
