"""Reading one file from wherever it lies: a local path, file://, http(s):// or s3://."""

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO

from coordinator.errors import (
    BadInput,
    ObjectMissing,
    SourceUnreachable,
    StorageError,
    UsageError,
)
from coordinator.storage.fetching import MAX_FILE_BYTES, WEB_SCHEMES
from coordinator.storage.hrefs import is_remote, local_path, scheme_of, shown, split_s3
from coordinator.storage.keys import is_key
from coordinator.storage.streams import capped, guarded, too_large

__all__ = ["is_remote", "open_location"]


def open_location(href: str, *, max_bytes: int = MAX_FILE_BYTES) -> BinaryIO:
    """A stream of the bytes at `href`. Reading it may raise what opening it raises.

    Raises:
        BadInput: nothing is there, or it is no file, too large, of an unknown scheme, or on a
            server that may not be asked.
        SourceUnreachable: its server does not answer or refuses.
        CredentialsError: the keys for S3 are missing, expired or refused.
    """
    scheme = scheme_of(href)
    if scheme in WEB_SCHEMES:
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
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise _refused(path, "it is not a regular file", "check the path")
    if found.st_size > max_bytes:
        os.close(descriptor)
        raise too_large(path, max_bytes)
    return os.fdopen(descriptor, "rb")


def _open_http(href: str, max_bytes: int) -> BinaryIO:
    from coordinator.storage import http  # takes a while to import

    return http.body_of(http.ask(href), href, max_bytes)


def _open_s3(href: str, max_bytes: int) -> BinaryIO:
    from coordinator.storage.s3 import open_bucket  # boto3 takes a while to import

    bucket, key = split_s3(href)
    if not is_key(key):
        raise _refused(href, "the part behind the bucket is no key of an object", "check it")
    with _as_source(href):
        stream = open_bucket(bucket).open(key)

    def guard() -> AbstractContextManager[None]:
        return _as_source(href)

    return guarded(capped(stream.read, href, max_bytes), stream.close, guard)


@contextmanager
def _as_source(href: str) -> Iterator[None]:
    """A store's errors as those of a source."""
    try:
        yield
    except ObjectMissing as error:
        raise _refused(href, "there is no such object", "check the address") from error
    except UsageError as error:
        raise _refused(href, error.why, error.hint) from error
    except StorageError as error:
        raise SourceUnreachable(
            f"{shown(href)} cannot be read", why=str(error), hint=error.hint
        ) from error


def _refused(href: str, why: str, hint: str) -> BadInput:
    return BadInput(f"{shown(href)} cannot be read", why=why, hint=hint)
