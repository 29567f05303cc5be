"""What may be a key: relative, no empty or dotted part, so that it leaves no root."""

from coordinator.errors import StorageError


def checked_key(key: str) -> str:
    """`key` itself.

    Raises:
        StorageError: it is none.
    """
    if "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
        raise StorageError(f"{key!r} is not a key", hint="this is a defect; please report it")
    return key
