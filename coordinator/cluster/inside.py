"""The way into one running job, for debuggers; each cluster has its own."""

from collections.abc import Callable, Sequence
from typing import Protocol

OnOutput = Callable[[bytes], None]


class Inside(Protocol):
    """One running job, seen from within. The files are those of `debugging.folder`.

    Every method raises ClusterError, or CredentialsError where a right is missing: the hint names
    it.
    """

    def files(self) -> dict[str, int]:
        """Name -> bytes, of each file; {} = none of its processes can be asked."""
        ...

    def read(self, name: str, offset: int, length: int) -> bytes:
        """At most `length` bytes of one of these files."""
        ...

    def ask(self) -> None:
        """Have every process write its stacks; the main one may have to pass it on."""
        ...

    def insist(self, python: str, *, main_is_silent: bool) -> None:
        """Ask once more, without the main process's help. `python`: the job's interpreter."""
        ...

    def run(self, python: str, arguments: Sequence[str], on_output: OnOutput) -> int:
        """Run a Python program beside the job, with the caller's standard input; its exit code.

        `python`: the job's interpreter, as the job says. `on_output` gets what the program writes
        to standard output, as it comes; its standard error is the caller's.
        """
        ...
