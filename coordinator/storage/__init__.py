"""Object stores: a local folder or S3, behind one protocol."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from coordinator.errors import UsageError
from coordinator.storage.base import Storage
from coordinator.storage.folders import (
    SKETCHED_BYTES,
    folder_address,
    held_folder,
    local_folder,
    refuse_foreign_code,
    sketched_folder,
)
from coordinator.storage.locations import is_remote, open_location

__all__ = [
    "SKETCHED_BYTES",
    "Storage",
    "folder_address",
    "held_folder",
    "is_remote",
    "local_folder",
    "open_location",
    "open_storage",
    "refuse_foreign_code",
    "sketched_folder",
]


def open_storage(uri: str) -> Storage:
    """The store at `uri`: a local path, `file://` or `s3://bucket/prefix`.

    Raises:
        UsageError: another scheme.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3":
        from coordinator.storage.s3 import S3Storage  # boto3 takes a while to import

        return S3Storage.from_uri(uri)
    if parts.scheme in ("", "file"):
        from coordinator.storage.local import LocalStorage

        return LocalStorage(Path(unquote(parts.path) if parts.scheme else uri))
    raise UsageError(
        f"{uri!r} cannot be an output root",
        why=f"the scheme {parts.scheme!r} is not known",
        hint="give a folder or s3://bucket/prefix",
    )
