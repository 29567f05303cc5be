"""Locations as text: a local path, file://, http(s):// or s3://. Nothing is opened here."""

import os
import posixpath
import re
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from coordinator.domain.shown import for_terminal
from coordinator.errors import BadInput
from coordinator.storage.fetching import REMOTE_SCHEMES

LONGEST_SHOWN = 200

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*):")


def scheme_of(href: str) -> str:
    """The scheme in lower case, or "" for a path."""
    found = _SCHEME.match(href)
    return found[1].lower() if found else ""


def is_remote(href: str) -> bool:
    """Whether `href` is read over the network."""
    return scheme_of(href) in REMOTE_SCHEMES


def local_path(href: str) -> str:
    """The path of a path or of a `file://` URL.

    Raises:
        BadInput: a file on another host.
    """
    if scheme_of(href) != "file":
        return href
    parts = urlsplit(href.strip())
    if parts.netloc not in ("", "localhost"):
        raise BadInput(
            f"{shown(href)} cannot be read",
            why="a file:// address of another host",
            hint="give a path, http(s):// or s3://",
        )
    return unquote(parts.path)


def split_s3(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`; keys are taken as they stand, without % escapes."""
    bucket, _, key = uri.strip()[len("s3://") :].partition("/")
    return bucket, key


def resolve(href: str, base: str) -> str:
    """The absolute location of what a document at `base` calls `href`.

    `base` is an absolute path or a URL. A document that was read over the network names no local
    file, whatever it says.

    Raises:
        BadInput: such a document does, or `href` cannot be an address.
    """
    if not href or not href.isprintable():
        raise BadInput(f"{shown(href)!r} is no address", why="empty, or with control characters")
    try:
        found = _joined(href, base)
    except ValueError as error:  # brackets without an IPv6 address, for instance
        raise BadInput(f"{shown(href)} is no address", why=str(error)) from error
    if is_remote(base) and scheme_of(found) in ("", "file"):
        raise BadInput(
            f"{shown(href)} is refused", why="a remote catalog may not point at local files"
        )
    return found


def _joined(href: str, base: str) -> str:
    scheme = scheme_of(href)
    if scheme == "file" and not is_remote(base):
        return local_path(href)
    if scheme:
        return href.strip()
    match scheme_of(base):
        case "http" | "https":
            return urljoin(base, href)
        case "s3":
            return _joined_s3(href, base)
        case _:
            return os.path.normpath(os.path.join(os.path.dirname(base), href))


def _joined_s3(href: str, base: str) -> str:
    bucket, key = split_s3(base)
    path = posixpath.normpath(posixpath.join("/", posixpath.dirname(key), href))
    return f"s3://{bucket}/{path.lstrip('/')}"


def shown(href: str) -> str:
    """A location as it may be printed: no passwords, no control characters, not too long."""
    try:
        parts = urlsplit(href)
        if parts.scheme and parts.netloc:
            query = "..." if parts.query else ""
            host = parts.netloc.rpartition("@")[2]
            href = urlunsplit((parts.scheme, host, parts.path, query, ""))
    except ValueError:
        pass  # not a URL: only its characters are looked at
    clean = for_terminal(href)
    return clean if len(clean) <= LONGEST_SHOWN else f"{clean[:LONGEST_SHOWN]}..."
