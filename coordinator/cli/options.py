"""The flags that many verbs share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from coordinator.bootstrap import reach_of
from coordinator.errors import UsageError
from coordinator.settings import Settings, load_settings
from coordinator.storage import fetching

_COMMON = Group("Common options", sort_key=9)
_TUNING = Group("How it runs", sort_key=2)


@Parameter(name="*", group=_COMMON)
@dataclass(frozen=True)
class Common:
    """Flags of every verb."""

    settings: Annotated[
        Path | None, Parameter(help="settings file; default settings.yml in this folder, if any")
    ] = None
    state_dir: Annotated[
        Path | None, Parameter(help="folder of the ledgers; default the user's state folder")
    ] = None
    log_dir: Annotated[Path | None, Parameter(help="log tree; default local-logs")] = None
    json: Annotated[bool, Parameter(help="print one JSON object", negative="")] = False
    debug: Annotated[bool, Parameter(help="show tracebacks", negative="")] = False

    def load(self, **flags: object) -> Settings:
        """The settings with these flags on top, in force from now on; None = not given."""
        settings = load_settings(
            self.settings, state_dir=self.state_dir, log_dir=self.log_dir, **flags
        )
        fetching.allow(reach_of(settings))
        return settings


@Parameter(name="*", group=_TUNING)
@dataclass(frozen=True)
class Tuning:
    """How fast a batch runs; may change when it is resumed."""

    stop_threshold: Annotated[
        int | None,
        Parameter(help="items in flight at which no new one is started; default from the lanes"),
    ] = None
    resume_threshold: Annotated[
        int | None,
        Parameter(help="items in flight at which it goes on, 0 = none; default 3/4 of the above"),
    ] = None
    wait_seconds: Annotated[
        float | None, Parameter(help="seconds between two dispatches; default 0")
    ] = None
    max_same_failure: Annotated[
        int | None,
        Parameter(
            name=("--max_same_failure", "--max-same-failure"),
            help="stop when so many dispatches in a row fail the same way; default 10, 0 = never",
        ),
    ] = None
    slots: Annotated[
        int | None,
        Parameter(
            help="jobs at a time; default the cores of this machine, or what Nomad's nodes hold"
        ),
    ] = None
    keep_jobs: Annotated[
        bool | None,
        Parameter(
            name=("--keep_jobs", "--keep-jobs"),
            help="the cluster remembers jobs that are home; default on here, off on Nomad",
        ),
    ] = None

    monitoring_interval_seconds: Annotated[
        float | None,
        Parameter(
            help="measure the jobs every N seconds: cores, memory, GPUs, disk, network; default 0:"
            " not at all"
        ),
    ] = None
    save_ledger: Annotated[
        bool | None,
        Parameter(
            name=("--save_ledger", "--save-ledger"),
            help="keep a copy of the ledger in the output root, so that another host can go on",
        ),
    ] = None

    def given(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if value is not None}


@Parameter(name="*", group=_TUNING)
@dataclass(frozen=True)
class Inference:
    """Options of the inference steps, over the pipeline's; may change when it is resumed."""

    max_batch_tokens: Annotated[
        int | None,
        Parameter(help="tokens in a batch at most, padding included; default the pipeline's"),
    ] = None
    sentence_timeout: Annotated[
        float | None,
        Parameter(help="seconds that one sentence may take; default the pipeline's"),
    ] = None

    def given(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if value is not None}


ClusterName = Literal["local", "nomad"]
NomadAddr = Annotated[str | None, Parameter(help="Nomad's address; default NOMAD_ADDR")]
NO_COMMON = Common()
NO_TUNING = Tuning()
NO_INFERENCE = Inference()


def one_name(batch: str | None, batch_name: str | None) -> str:
    """The batch that was named, as BATCH or as --batch_name.

    Raises:
        UsageError: neither, or two different ones.
    """
    names = {name for name in (batch, batch_name) if name}
    if len(names) > 1:
        raise UsageError(f"two batches are named, {batch} and {batch_name}", hint="name one")
    if not names:
        raise UsageError("name a batch", hint="coordinator ls lists them")
    return names.pop()
