"""Batches as a user runs them, on a real Nomad; what is left of them, read through its API."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from agents import Cluster

from tests.acceptance.batches import BatchSeen, Workplace, assert_whole
from tests.servers import S3Server, s3_client

# Small, quick jobs on this machine; `environment`: nothing secret but a test's own keys.
VARIABLES = """
driver       = "raw_exec"
mhz_per_core = 1000
disk_mb      = 50
log_files    = 2
log_file_mb  = 2
kill_timeout = "5s"
lost_after   = "5s"
"""


@dataclass(frozen=True)
class Nomad:
    """Where in which Nomad, and as whom."""

    agents: Cluster
    namespace: str = "default"
    address: str = ""  # "" = the server's own
    token: str = ""

    def call(self, path: str, **params: str) -> Any:
        """What the server says, asked with the management token."""
        return self.agents.call("GET", path, params={"namespace": self.namespace, **params})

    def jobs(self, prefix: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("jobs", prefix=prefix)
        return found

    def allocations(self, prefix: str) -> list[dict[str, Any]]:
        """Of all jobs whose IDs begin so."""
        found: list[dict[str, Any]] = self.call("allocations")
        return [allocation for allocation in found if allocation["JobID"].startswith(prefix)]


@dataclass(frozen=True)
class NomadWorkplace(Workplace):
    """The same folder, whose batches run on Nomad. Their jobs stay, to be counted.

    Attributes:
        root: the output root; "" = the folder's own.
        catalog: of the items; "" = the folder's own.
        pipeline_file: what runs.
        flags: more of submit's.
    """

    nomad: Nomad = field(kw_only=True)
    root: str = ""
    catalog: str = ""
    pipeline_file: str = "pipeline.yml"
    flags: tuple[str, ...] = ("--keep_jobs",)

    @classmethod
    def on(cls, nomad: Nomad, place: Workplace, job_vars: str = VARIABLES) -> "NomadWorkplace":
        (place.folder / "job.vars").write_text(job_vars)
        return cls(place.folder, nomad=nomad)

    def variables(self) -> dict[str, str]:
        where = {"NOMAD_ADDR": self.nomad.address or self.nomad.agents.address}
        where |= {"NOMAD_NAMESPACE": self.nomad.namespace}
        return where | ({"NOMAD_TOKEN": self.nomad.token} if self.nomad.token else {})

    def submit_flags(self, batch: str, *flags: object) -> list[str]:
        more = ["--output_root", self.root] if self.root else []
        given = super().submit_flags(batch, *more, *self.flags, *flags)
        given[given.index("--pipeline") + 1] = self.pipeline_file
        if self.catalog:
            given[given.index("--catalog") + 1] = self.catalog
        return [*given, "--cluster", "nomad", "--job_vars", "job.vars"]

    def batch(self, name: str) -> "NomadBatch":
        return NomadBatch(self, name)


@dataclass(frozen=True)
class NomadBatch(BatchSeen):
    """What is left of a batch on disk, in its output root and on Nomad."""

    place: NomadWorkplace

    @property
    def prefix(self) -> str:
        """What the ids of its jobs begin with."""
        return f"{self.name}--"

    def keys(self) -> list[str]:
        if not self.place.root:
            return super().keys()
        bucket, folder = self._folder()
        pages = self._s3.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=bucket, Prefix=folder)
        return [e["Key"].removeprefix(folder) for page in found for e in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        if not self.place.root:
            return super().read(key)
        bucket, folder = self._folder()
        data: bytes = self._s3.get_object(Bucket=bucket, Key=folder + key)["Body"].read()
        return data

    @cached_property
    def _s3(self) -> Any:
        return s3_client()

    def _folder(self) -> tuple[str, str]:
        bucket, _, root = self.place.root.removeprefix("s3://").partition("/")
        return bucket, f"{root.rstrip('/')}/{self.name}/".lstrip("/")

    def children(self) -> list[dict[str, Any]]:
        """Its jobs on the cluster, without their parents."""
        return [job for job in self.place.nomad.jobs(self.prefix) if job["ParentID"]]

    def job_ids(self) -> list[str]:
        return sorted(job["ID"] for job in self.children())

    def tokens(self) -> Counter[str]:
        """Idempotency token -> how many jobs the cluster made for it."""
        wholes = (self.place.nomad.call(f"job/{job}") for job in self.job_ids())
        return Counter(whole["DispatchIdempotencyToken"] for whole in wholes)


def assert_whole_on_nomad(batch: NomadBatch) -> None:
    """Each item ended once in success, with whole files of its own attempt; one job a token."""
    assert_whole(batch)
    tokens = {row["token"] for row in batch.rows("SELECT token FROM dispatches")}
    assert batch.tokens() == dict.fromkeys(tokens, 1)
    for outcome in batch.outcomes():
        folder = f"items/{outcome['item']}/{outcome['step']}/a{outcome['attempt']}"
        for file in outcome["files"]:
            data = batch.read(f"{folder}/{file['name']}")
            assert hashlib.sha256(data).hexdigest() == file["sha256"]


# S3


def uploaded(place: NomadWorkplace, bucket: str) -> NomadWorkplace:
    """The items, their texts and the outputs in a bucket; the model stays in the folder."""
    client = s3_client()
    for path in (*place.texts.rglob("*"), *(place.folder / "items").rglob("*")):
        if path.is_file():
            client.upload_file(str(path), bucket, path.relative_to(place.folder).as_posix())
    return replace(
        place, root=f"s3://{bucket}/root", catalog=f"s3://{bucket}/items/collection.json"
    )


def with_keys(server: S3Server, variables: str = VARIABLES) -> str:
    """Job variables by which jobs have the keys of a test's S3 server."""
    keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    return variables + as_environment({**keys, "AWS_EC2_METADATA_DISABLED": "true"})


def as_environment(values: Mapping[str, str]) -> str:
    pairs = ", ".join(f'{name} = "{value}"' for name, value in values.items())
    return f"environment = {{ {pairs} }}\n"
