"""--use-local-creds: jobs on Nomad get the caller's keys, and nothing but their memory has them."""

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests
from agents import Cluster
from urllib3.exceptions import ReadTimeoutError

from tests.acceptance.batches import Workplace, ended, running
from tests.acceptance.test_credentials import (
    NEW,
    OLD,
    Guard,
    assert_no_secret,
    assert_nothing_burnt,
    expire,
    guard,
    place,
)
from tests.nomad_agents import token_of
from tests.servers import S3Server

__all__ = ["guard", "place"]  # fixtures

pytestmark = [pytest.mark.needs_nomad, pytest.mark.needs_s3, pytest.mark.timeout(600)]

QUIET_SECONDS = 3.0
VARIABLES = """
driver       = "raw_exec"
mhz_per_core = 100
disk_mb      = 50
log_files    = 2
log_file_mb  = 2
"""


@pytest.fixture
def nomad(nomad_with_acl: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """ACLs are on, and the coordinator has the shipped policy."""
    monkeypatch.setenv("NOMAD_ADDR", nomad_with_acl.address)
    monkeypatch.setenv("NOMAD_TOKEN", token_of(nomad_with_acl))
    yield nomad_with_acl


def variables(nomad: Cluster) -> list[str]:
    return [variable["Path"] for variable in nomad.call("GET", "vars")]


def test_keys_are_renewed_amid_a_batch_and_stay_nowhere(
    place: Workplace,
    guard: Guard,
    nomad: Cluster,
    s3_bucket: str,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (place.folder / "job.vars").write_text(VARIABLES)
    batch = place.batch("b")
    flags = ["--batch_name", "b", "--pipeline", "pipeline.yml", "--catalog", "items.ndjson"]
    flags += ["--cluster", "nomad", "--slots", "2", "--job_vars", "job.vars", "--keep_jobs"]
    flags += ["--use-local-creds", "--output_root", f"s3://{s3_bucket}/root"]
    with running(place.start("submit", *flags)) as process:
        expire(guard, process, batch)
        held = [path for path in variables(nomad) if path.startswith("nomad/jobs/")]
        monkeypatch.setenv("AWS_SESSION_TOKEN", NEW)
        given = place.run("credentials", "b")
        assert given.returncode == 0, given.stderr
        done = ended(process)
    assert done.returncode == 0, done.stderr
    assert held == ["nomad/jobs/b--nap"]
    assert [path for path in variables(nomad) if path.startswith("nomad/jobs/")] == []
    assert_nothing_burnt(batch)
    secrets = (OLD, NEW, s3_server.secret_key)
    said = given.stdout + given.stderr + done.stdout + done.stderr
    assert_no_secret(place, s3_bucket, said, secrets)
    assert_nomad_knows_no(secrets, nomad)


def assert_nomad_knows_no(secrets: tuple[str, ...], nomad: Cluster) -> None:
    """In no job, allocation, evaluation, event or log of the agents."""
    jobs = nomad.call("GET", "jobs", params={"meta": "true"})
    documents = [nomad.call("GET", f"job/{job['ID']}") for job in jobs]
    allocations = nomad.call("GET", "allocations")
    assert allocations
    documents += [nomad.call("GET", f"allocation/{each['ID']}") for each in allocations]
    documents += [nomad.call("GET", "evaluations"), events(nomad)]
    texts = [json.dumps(document) for document in documents]
    texts += [agent.log.read_text(errors="replace") for agent in nomad.agents]
    for secret in secrets:
        assert not any(secret in text for text in texts)


def events(nomad: Cluster) -> str:
    """What the event stream holds, from the oldest that is kept until nothing new comes."""
    url = f"{nomad.address}/v1/event/stream?index=1&topic=*"
    headers = {"X-Nomad-Token": nomad.token}
    seen = b""
    with (
        requests.get(url, headers=headers, stream=True, timeout=(5, QUIET_SECONDS)) as answer,
        suppress(ReadTimeoutError),
    ):
        while data := answer.raw.read1(65536):
            seen += data
    assert b"AllocationUpdated" in seen
    return seen.decode(errors="replace")
