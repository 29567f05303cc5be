"""Objects in memory, with seeded faults. For tests and benchmarks."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn, Protocol

from coordinator.clock import Clock
from coordinator.errors import CredentialsError, ObjectMissing, StorageUnavailable
from coordinator.storage.keys import checked_folder, checked_key, checked_prefix

_LONGEST = 60.0  # seconds that an outage lasts
# What goes wrong here, by the names under which it is counted.
DOWN, ERROR, STORED_BUT_ERROR, LATE, SLOW = (
    "store unavailable for a while",
    "store unavailable",
    "stored, but an error was seen",
    "not there right after it was written",
    "slow store",
)
CREDENTIALS = "credentials refused for a while"  # the store's go with the cluster's


class Mishaps(Protocol):
    """What goes wrong, and when."""

    def strikes(self, fault: str) -> bool: ...

    def lasts(self, fault: str, now: float, longest: float) -> bool: ...

    def within(self, shortest: float, longest: float) -> float: ...


class Shelf:
    """What is stored, whoever asks for it: workers meet no faults here."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self.denied: set[str] = (
            set()
        )  # keys of which somebody was told once that they are not there

    def read(self, key: str) -> bytes:
        try:
            return self._objects[checked_key(key)]
        except KeyError as error:
            raise ObjectMissing(f"{key} is not there") from error

    def write(self, key: str, data: bytes) -> None:
        self._objects[checked_key(key)] = data

    def size(self, key: str) -> int | None:
        found = self._objects.get(checked_key(key))
        return None if found is None else len(found)

    def list(self, prefix: str) -> Iterator[str]:
        checked_prefix(prefix)
        yield from sorted(key for key in self._objects if key.startswith(prefix))

    def remove(self, key: str) -> None:
        self._objects.pop(checked_key(key), None)

    def delete(self, prefix: str) -> int:
        checked_folder(prefix)
        found = list(self.list(prefix))
        for key in found:
            del self._objects[key]
        return len(found)


class SimulatedStorage:
    """A shelf through one connection; mishaps happen on the way."""

    def __init__(
        self,
        shelf: Shelf,
        clock: Clock,
        mishaps: Mishaps | None = None,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._shelf, self._clock, self._mishaps, self._tell = shelf, clock, mishaps, tell

    @property
    def uri(self) -> str:
        return "memory://simulated"

    def probe(self) -> None:
        self._enter("probe")

    def read(self, key: str) -> bytes:
        data = self._shelf.read(key)
        self._enter(f"read {key}")
        if self._denies(key):
            raise ObjectMissing(f"{key} is not there")
        return data

    def open(self, key: str) -> BinaryIO:
        return io.BytesIO(self.read(key))

    def write(self, key: str, data: bytes) -> None:
        checked_key(key)
        self._enter(f"write {key}")
        self._shelf.write(key, data)
        self._leave(f"write {key}")

    def upload(self, path: Path, key: str) -> None:
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise ObjectMissing(f"{path} is not there") from error
        self.write(key, data)

    def copy(self, source: str, target: str) -> None:
        self._enter(f"copy {source}")
        self._shelf.write(target, self._shelf.read(source))
        self._leave(f"copy {source}")

    def size(self, key: str) -> int | None:
        self._enter(f"size of {key}")
        size = self._shelf.size(key)
        return None if size is not None and self._denies(key) else size

    def list(self, prefix: str) -> Iterator[str]:
        self._enter(f"list {prefix}")
        return self._shelf.list(prefix)

    def remove(self, key: str) -> None:
        self._enter(f"remove {key}")
        self._shelf.remove(key)
        self._leave(f"remove {key}")

    def delete(self, prefix: str) -> int:
        self._enter(f"delete {prefix}")
        return self._shelf.delete(prefix)

    # what may happen on the way there and back

    def _enter(self, what: str) -> None:
        if self._mishaps is None:
            return
        if self._mishaps.strikes(SLOW):
            self._clock.sleep(self._mishaps.within(1.0, 10.0))
        now = self._clock.monotonic()
        if self._mishaps.lasts(CREDENTIALS, now, _LONGEST):
            self._tell(f"credentials refused: {what}")
            raise CredentialsError("the store refuses the keys", hint="renew them")
        if self._mishaps.lasts(DOWN, now, _LONGEST) or self._mishaps.strikes(ERROR):
            self._fail(what)

    def _leave(self, what: str) -> None:
        if self._mishaps is not None and self._mishaps.strikes(STORED_BUT_ERROR):
            self._fail(f"{what}, which is done")

    def _fail(self, what: str) -> NoReturn:
        self._tell(f"the store gives no answer: {what}")
        raise StorageUnavailable(f"the store gives no answer: {what}")

    def _denies(self, key: str) -> bool:
        if self._mishaps is None or not self._mishaps.strikes(LATE):
            return False
        self._tell(f"the store does not show yet: {key}")
        self._shelf.denied.add(key)
        return True
