"""`doctor`: is everything there that a batch leans on?"""

import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from coordinator.bootstrap.doctor import nomad_findings
from coordinator.clock import timestamp
from coordinator.commands.models import checked_model
from coordinator.domain.findings import Finding, fail, ok, warn
from coordinator.errors import CoordinatorError, CredentialsError
from coordinator.pipelines import Pipeline, read_pipeline
from coordinator.settings import Settings
from coordinator.storage import open_storage
from coordinator.storage.aws_keys import caller_keys

LITTLE_SPACE = 2 << 30  # bytes: logs and the ledger grow as a batch runs
SOON_SECONDS = 3600.0
# File systems of other machines: what SQLite says of locks there, it says of each of these.
_REMOTE = {
    "9p", "afs", "ceph", "cifs", "davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.s3fs",
    "fuse.sshfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs",
}  # fmt: skip


def examine(settings: Settings, output_root: str | None = None) -> list[Finding]:
    """Everything that can be looked at before there is a batch.

    `output_root`: as a flag, which wins over the pipeline's.
    """
    pipeline, found = _pipeline(settings)
    found += _model(settings, pipeline)
    of_pipeline = pipeline.output_root if pipeline else ""
    found += _outputs(output_root or of_pipeline or settings.output_root, settings)
    found += _folder("state", settings.state_dir, holds_ledgers=True)
    found += _folder("logs", settings.log_dir, holds_ledgers=False)
    if settings.cluster == "nomad":
        return [*nomad_findings(settings), *found]
    return [ok("cluster", f"local: {os.cpu_count()} cores on this machine"), *found]


def _pipeline(settings: Settings) -> tuple[Pipeline | None, list[Finding]]:
    if settings.pipeline is None:
        return None, []
    try:
        pipeline = read_pipeline(settings.pipeline)
    except CoordinatorError as error:
        return None, list(_faults("pipeline", error))
    steps = ", ".join(step.name for step in pipeline.steps)
    return pipeline, [ok("pipeline", f"{pipeline.name}: {steps}")]


def _model(settings: Settings, pipeline: Pipeline | None) -> Iterator[Finding]:
    if not settings.model:
        if pipeline is not None and pipeline.uses("inference"):
            yield fail("model", "none was given, and the pipeline runs inference", "--model FOLDER")
        return
    try:
        model = checked_model(settings.model, trust_code=settings.trust_model_code, hashed=False)
        yield ok("model", f"{model.folder} ({model.kind})")
    except CoordinatorError as error:
        yield from _faults("model", error)


def _outputs(root: str, settings: Settings) -> Iterator[Finding]:
    if root.startswith("s3:") or settings.use_local_creds:
        yield _credentials()
    try:
        storage = open_storage(root)
        storage.probe()
    except CoordinatorError as error:
        yield from _faults("outputs", error, "--output_root: a folder or bucket of your own")
        return
    yield ok("outputs", f"{storage.uri}: a probe was written, read and removed")
    if not storage.uri.startswith("s3:"):
        yield from _space("outputs", Path(storage.uri))


def _credentials() -> Finding:
    """Whose they are and until when; never what they are."""
    try:
        keys = caller_keys()
    except CredentialsError as error:
        return fail("credentials", str(error), error.hint)
    role = f", {keys.role}" if keys.role else ""
    found = f"AWS keys from {keys.origin}{role}"
    if keys.expires is None:
        return ok("credentials", found)
    until = f"{found}, good until {timestamp(keys.expires)}"
    if keys.expires - datetime.now().timestamp() < SOON_SECONDS:
        return warn("credentials", until, keys.renewal("BATCH"))
    return ok("credentials", until)


def _folder(about: str, folder: Path, *, holds_ledgers: bool) -> Iterator[Finding]:
    there = _nearest(folder.absolute())
    if not os.access(there, os.W_OK | os.X_OK):
        yield fail(about, f"{folder} cannot be written", f"--{_FLAGS[about]} FOLDER of your own")
        return
    kind = _file_system(there)
    if holds_ledgers and kind in _REMOTE:
        change = f"--{_FLAGS[about]} FOLDER on a disk of this machine"
        yield warn(about, f"{folder} lies on {kind}: ledgers may be damaged there", change)
    else:
        yield ok(about, str(folder))
    yield from _space(about, there)


_FLAGS = {"state": "state_dir", "logs": "log_dir"}


def _space(about: str, folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(_nearest(folder)).free
    if free < LITTLE_SPACE:
        yield warn(about, f"{free / 2**30:.1f} GiB are free", f"make room on the disk of {folder}")


def _nearest(folder: Path) -> Path:
    """The folder, or where it would be made."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _file_system(folder: Path) -> str:
    """The type of the file system that holds the folder; "" where the system does not tell."""
    try:
        lines = Path("/proc/self/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    real = folder.resolve()
    mounts = [(Path(_unescaped(point)), kind) for _, point, kind, *_ in map(str.split, lines)]
    holding = [(len(point.parts), kind) for point, kind in mounts if real.is_relative_to(point)]
    return max(holding, key=lambda each: each[0], default=(0, ""))[1]


def _unescaped(point: str) -> str:
    return point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def _faults(about: str, error: CoordinatorError, change: str = "") -> Iterator[Finding]:
    """An error as findings, one for each problem that it names; `change`: where it names none."""
    yield fail(about, str(error), error.hint or change)
    for problem in error.problems:
        yield fail(about, str(problem), problem.fix)
