"""AWS keys of a live batch: kept fresh for it and its jobs, and handed in from another process."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.status import open_ledger
from coordinator.domain.states import ItemState
from coordinator.errors import CredentialsError, UsageError
from coordinator.ledger import holder
from coordinator.secrecy import Secret
from coordinator.settings import Settings
from coordinator.storage.aws_keys import HANDED_IN, AwsKeys, adopt, caller_keys

FILE = "credentials"  # in the batch's state folder; only its owner may read it
CHECK_SECONDS = 30.0
SOON_SECONDS = 15 * 60.0


class KeyShelf(Protocol):
    """Where the jobs of a batch find their keys."""

    def put(self, file: Secret) -> None:
        """Keep the text of an AWS credentials file for them; repeatable."""
        ...

    def remove(self) -> None:
        """Take it away; repeatable."""
        ...


@dataclass(frozen=True)
class HandedIn:
    """Keys that were handed in to a batch."""

    batch: str
    keys: AwsKeys
    driven_by: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "batch": self.batch,
            "origin": self.keys.origin,
            "role": self.keys.role,
            "expires": self.keys.expires,
            "driven_by": self.driven_by,
        }


def hand_in(settings: Settings, batch: str, clock: Clock) -> HandedIn:
    """Give a batch the keys of this process, in a file that only the user may read.

    Raises:
        CredentialsError: this process has none, or they have expired.
        UsageError: the batch needs none any more.
    """
    folder = batch_folder(settings, batch)
    ledger = open_ledger(settings, batch, clock)
    try:
        items = ledger.tally().items
    finally:
        ledger.close()
    if not items.get(ItemState.WAITING) and not items.get(ItemState.IN_FLIGHT):
        raise UsageError(f"batch {batch} is finished", why="it needs no credentials any more")
    keys = caller_keys()
    if keys.expires is not None and keys.expires <= clock.now():
        raise CredentialsError(
            f"the keys from {keys.origin} have expired",
            why=f"at {_clock_time(keys.expires)}",
            hint="log in anew, then hand them in again",
        )
    _write_secret(folder / FILE, keys.as_file(HANDED_IN))
    return HandedIn(batch, keys, holder(folder))


class KeyKeeper:
    """Keeps the keys of a driven batch fresh: its own, and those that its jobs are given."""

    def __init__(
        self,
        batch: str,
        folder: Path,
        clock: Clock,
        say: Callable[[str], None],
        shelf: KeyShelf | None,
        *,
        needed: bool,
    ) -> None:
        """A keeper for one run of the driver.

        Args:
            batch: its name.
            folder: its state folder, where keys are handed in.
            clock: what time it is.
            say: tells whoever looks on.
            shelf: where its jobs find keys; None = they have their own.
            needed: whether the batch works with AWS keys at all.
        """
        self._batch, self._file, self._clock, self._say = batch, folder / FILE, clock, say
        self._shelf, self._needed = shelf, needed or shelf is not None
        self._seen = _stamp(self._file)
        self._check_at = clock.monotonic()
        self._shelved, self._warned_of = Secret(""), 0.0

    def start(self, probe: Callable[[], object]) -> None:
        """Begin with the caller's own keys; those handed in earlier serve where these do not.

        Raises:
            CredentialsError: `probe` is refused with either.
        """
        try:
            probe()
        except CredentialsError:
            if self._seen is None:
                raise
            adopt(self._file)
            probe()

    def look(self) -> bool:
        handed_in = self._take_over()
        if not self._needed or (not handed_in and self._clock.monotonic() < self._check_at):
            return handed_in
        self._check_at = self._clock.monotonic() + CHECK_SECONDS
        return self._check() or handed_in

    def advice(self) -> str:
        try:
            keys = caller_keys()
        except CredentialsError as error:
            return f"{error}; with keys in the environment: coordinator credentials {self._batch}"
        role = f" ({keys.role})" if keys.role else ""
        return f"keys from {keys.origin}{role}; {keys.renewal(self._batch)}"

    def finish(self) -> None:
        """The batch is finished: nothing of its keys stays anywhere."""
        with suppress(FileNotFoundError):
            self._file.unlink()
        if self._shelf is not None:
            self._shelf.remove()

    def _take_over(self) -> bool:
        """Adopt keys that were handed in since the last look."""
        stamp = _stamp(self._file)
        if stamp in (None, self._seen):
            return False
        self._seen = stamp
        adopt(self._file)
        self._say("new credentials taken over")
        return True

    def _check(self) -> bool:
        """Pass changed keys on, and say once when they end soon; whether they had changed."""
        keys = caller_keys()
        self._warn(keys)
        text, before = keys.as_file(), self._shelved
        if text == before:
            return False
        if self._shelf is not None:
            self._shelf.put(text)
        self._shelved = text
        return bool(before)

    def _warn(self, keys: AwsKeys) -> None:
        if keys.expires is None or keys.expires == self._warned_of:
            return
        if keys.expires - self._clock.now() < SOON_SECONDS:
            self._warned_of = keys.expires
            until = _clock_time(keys.expires)
            self._say(f"credentials end at {until}; {keys.renewal(self._batch)}")


def _stamp(file: Path) -> tuple[int, int] | None:
    """What changes when the file is written anew; None = it is not there."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _clock_time(seconds: float) -> str:
    return time.strftime("%H:%M", time.localtime(seconds))


def _write_secret(path: Path, text: Secret) -> None:
    """Write aside and rename; at no moment may others read it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        aside.unlink()
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text.reveal())
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(aside, path)
