"""Every place where something of a batch lies: keys in the output root, paths in the log tree."""

from dataclasses import dataclass
from pathlib import Path

from coordinator.domain.names import BEGUN, OUTCOME

# In the log tree of a batch: which attempts count, of items that were done again.
REDONE_FILE = "redone.jsonl"


@dataclass(frozen=True)
class AttemptKeys:
    """Keys of what one attempt writes."""

    prefix: str  # ends with /

    @property
    def begun(self) -> str:
        return f"{self.prefix}{BEGUN}"

    @property
    def outcome(self) -> str:
        return f"{self.prefix}{OUTCOME}"

    def file(self, name: str) -> str:
        return f"{self.prefix}{name}"


@dataclass(frozen=True)
class BatchKeys:
    """Keys below the output root, as `<batch>/...`."""

    batch: str

    @property
    def prefix(self) -> str:
        return f"{self.batch}/"

    @property
    def record(self) -> str:
        return f"{self.batch}/batch.json"

    @property
    def item_list(self) -> str:
        """Every item of the batch as it was submitted, one a line, compressed."""
        return f"{self.batch}/items.jsonl.gz"

    @property
    def ledger(self) -> str:
        """A copy of the ledger, where it is saved as the batch goes."""
        return f"{self.batch}/ledger/ledger.db"

    @property
    def lineage(self) -> str:
        """Which host's ledger that is."""
        return f"{self.batch}/ledger/lineage"

    @property
    def addresses(self) -> str:
        """What was set aside of its items' addresses, in a folder that is removed in the end."""
        return f"{self.batch}/ledger/addresses/addresses.db"

    def handoff(self, dispatch: str) -> str:
        return f"{self.batch}/handoff/{dispatch}.json"

    def usage(self, dispatch: str) -> str:
        """What a dispatch used as it ran, where that was measured."""
        return f"{self.usages}{dispatch}.csv"

    @property
    def curves(self) -> str:
        """Where the event files of all attempts lie."""
        return f"{self.batch}/tensorboard/"

    def curves_of(self, item: str, step: str, number: int) -> str:
        """Where those of one attempt do, from when they are first written; ends with /."""
        return f"{self.curves}{item}/{step}/a{number}/"

    @property
    def usages(self) -> str:
        """Where what dispatches used lies."""
        return f"{self.batch}/usage/"

    def attempt(self, item: str, step: str, number: int) -> AttemptKeys:
        return AttemptKeys(f"{self.batch}/items/{item}/{step}/a{number}/")

    def published(self, item: str, name: str) -> str:
        return f"{self.batch}/items/{item}/{name}"

    def summary(self, name: str) -> str:
        return f"{self.batch}/summary/{name}"


@dataclass(frozen=True)
class DispatchLogs:
    """The folder of one dispatch in the log tree: reports need nothing else."""

    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / "dispatch.json"

    @property
    def events(self) -> Path:
        return self.folder / "events.json"

    @property
    def usage(self) -> Path:
        """What it used as it ran, where that was measured."""
        return self.folder / "resource_usage.csv"

    @property
    def outcomes(self) -> Path:
        return self.folder / "outcomes"

    def outcome(self, item: str) -> Path:
        return self.outcomes / f"{item}.json"

    def stream(self, task: str, stream: str) -> Path:
        return self.folder / f"{task}.{stream}.0"


@dataclass(frozen=True)
class LogTree:
    """`<root>/<batch>/<job>/<dispatch>/`: what was brought home."""

    root: Path
    batch: str

    @property
    def folder(self) -> Path:
        return self.root / self.batch

    @property
    def coordinator_log(self) -> Path:
        return self.folder / "coordinator.log"

    def dispatch(self, step: str, name: str) -> DispatchLogs:
        return DispatchLogs(self.folder / step / name)
