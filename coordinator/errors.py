"""One tree of errors. Each message names the thing, the reason and the next step.

CoordinatorError
├── UsageError               flags or settings that cannot be meant
│   ├── BadInput             items, lists, files or pipelines that cannot be used
│   │   └── PipelineError    a pipeline file that cannot be used
│   ├── ModelError           a model folder or handler that cannot be used
│   ├── SourceUnreachable    a catalog, API or store that does not answer
│   └── BatchExists / BatchMissing / BatchBusy
├── LedgerError              a ledger that cannot be opened or written
├── StorageError
│   ├── ObjectMissing        no such object
│   └── StorageUnavailable   worth another try
├── ClusterError
│   ├── ClusterUnavailable   worth another try; nothing may be concluded
│   └── JobRefused           the cluster will never take this job
├── CredentialsError         expired or refused credentials
│   ├── KeysRefused          AWS keys that are missing, expired or unknown
│   └── AccessRefused        good credentials, which do not give this right
├── WorkInterrupted          a worker was asked to stop
├── Interrupted              Ctrl-C before there was anything to wait for
└── StaleMove                a row was not in the expected state
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What a verb's exit status means."""

    OK = 0  # everything succeeded
    SOME_FAILED = 1  # some items failed or were skipped
    USAGE = 2  # usage or input error, or a source that cannot be reached
    STOPPED_EARLY = 3  # SIGTERM, SIGHUP, a stop condition, a full disk
    INTERRUPTED = 130  # Ctrl-C


class WorkerExit(IntEnum):
    """Exit codes of a worker, after sysexits(3)."""

    OK = 0  # succeeded, or nothing to do
    BAD_INPUT = 65
    MODEL_ERROR = 70
    TRY_AGAIN = 75
    CREDENTIALS = 77
    TIMEOUT = 124


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the input."""

    where: str  # file:line, item id or flag
    reason: str  # "" where `where` says it all
    fix: str = ""
    field: str = ""

    def __str__(self) -> str:
        field = f" [{self.field}]" if self.field else ""
        fix = f" ({self.fix})" if self.fix else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.where}{field}{reason}{fix}"


class CoordinatorError(Exception):
    """Base of all errors of this project.

    Args:
        what: the thing and what is wrong with it, in one line.
        why: the reason, where it is not plain from `what`.
        hint: what to do next.
        problems: every single problem, where there are several.
    """

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(
        self, what: str, *, why: str = "", hint: str = "", problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(what)
        self.what, self.why, self.hint = what, why, hint
        self.problems = tuple(problems)

    @property
    def kind(self) -> str:
        """The name a program sees, e.g. `bad_input` for `BadInput`."""
        name = type(self).__name__
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what


class UsageError(CoordinatorError):
    """Flags or settings that cannot be meant."""


class BadInput(UsageError):
    """Items, lists or files that cannot be used."""


class PipelineError(BadInput):
    """A pipeline file that cannot be used."""


class ModelError(UsageError):
    """A model folder or handler that cannot be used."""


class SourceUnreachable(UsageError):
    """A catalog, API or store that does not answer."""


class BatchExists(UsageError):
    """A batch of this name was submitted before."""


class BatchMissing(UsageError):
    """No batch of this name is known here."""


class BatchBusy(UsageError):
    """Another process drives this batch."""


class LedgerError(CoordinatorError):
    """A ledger that cannot be opened or written."""

    exit_code = ExitCode.STOPPED_EARLY


class StorageError(CoordinatorError):
    """The object store refused or failed."""

    exit_code = ExitCode.STOPPED_EARLY


class ObjectMissing(StorageError):
    """No object of this name."""


class StorageUnavailable(StorageError):
    """The store did not answer; worth another try."""


class ClusterError(CoordinatorError):
    """The cluster refused or failed."""

    exit_code = ExitCode.STOPPED_EARLY


class ClusterUnavailable(ClusterError):
    """The cluster did not answer; nothing may be concluded from it."""


class JobRefused(ClusterError):
    """The cluster will never take this job as it is."""


class CredentialsError(CoordinatorError):
    """Expired or refused credentials."""

    exit_code = ExitCode.STOPPED_EARLY


class KeysRefused(CredentialsError):
    """AWS keys that are missing, expired or unknown: others may do."""


class AccessRefused(CredentialsError):
    """Good credentials that do not give this right: new ones of the same kind change nothing."""


class WorkInterrupted(CoordinatorError):
    """A worker was asked to stop before it was done."""

    exit_code = ExitCode.STOPPED_EARLY


class Interrupted(CoordinatorError):
    """Ctrl-C, while no batch was being driven."""

    exit_code = ExitCode.INTERRUPTED


class StaleMove(CoordinatorError):
    """A row was not in the state that a move expected: another process moved it."""

    exit_code = ExitCode.STOPPED_EARLY
