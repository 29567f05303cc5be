"""What may be a key: relative, no empty or dotted part, so that it leaves no root."""

from coordinator.errors import StorageError

_NO_PART = frozenset(("", ".", ".."))


def is_key(text: str) -> bool:
    return "\0" not in text and _NO_PART.isdisjoint(text.split("/"))


def checked_key(key: str) -> str:
    """`key` itself.

    Raises:
        StorageError: it is none.
    """
    if not is_key(key):
        raise StorageError(f"{key!r} is not a key", hint="this is a defect; please report it")
    return key


def checked_prefix(prefix: str) -> str:
    """`prefix` itself: the beginning of keys, "" for all of them.

    Raises:
        StorageError: no key begins so.
    """
    folder = prefix.rpartition("/")[0]
    if folder or prefix.startswith("/"):
        checked_key(folder)
    return prefix


def checked_folder(prefix: str) -> str:
    """`prefix` itself: all keys of one folder, never of the whole store.

    Raises:
        StorageError: it does not end with a slash, or no key begins so.
    """
    if not prefix.endswith("/"):
        raise StorageError(f"{prefix!r} is not a key", why="of a folder, which ends with /")
    return checked_prefix(prefix)
