"""With ACLs on: the shipped policy is enough, each of its rights is needed, and no secret stays."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from agents import Cluster

from tests.acceptance.batches import Workplace, ended, running, wait_until
from tests.acceptance.on_nomad import VARIABLES, Nomad, NomadBatch, NomadWorkplace, uploaded
from tests.acceptance.test_credentials import assert_no_secret
from tests.acceptance.test_nomad_credentials import assert_nomad_knows_no
from tests.nomad_agents import SHIPPED_POLICY, token_of
from tests.servers import S3Server, s3_client, server_environment, started_s3

pytestmark = [pytest.mark.needs_nomad, pytest.mark.needs_s3, pytest.mark.timeout(600)]

BUCKET = "canaries"
LANGUAGES = ("deu", "fra", "spa")
TUNING = ("--slots", 2)
ONE_COMMAND = """
name: one-command
steps:
  - name: nap
    job: command
    outputs: [stdout.txt]
    options: {command: [echo, hello]}
"""


@pytest.fixture(scope="module")
def canary_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server whose keys can be told from anything else."""
    access, secret = f"CANARYACCESS{uuid.uuid4().hex}", f"canary-secret-{uuid.uuid4().hex}"
    with started_s3(tmp_path_factory.mktemp("canaries"), access, secret) as server:
        yield server


@pytest.fixture
def canaries(canary_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The same, with its keys in the environment."""
    for name, value in server_environment(canary_server).items():
        monkeypatch.setenv(name, value)
    return canary_server


@pytest.mark.needs_data
def test_a_whole_batch_with_the_shipped_policy_leaves_no_secret(
    nomad_with_acl: Cluster, canaries: S3Server, tmp_path: Path, say: Callable[[str], None]
) -> None:
    place = Workplace.made(tmp_path / "work", LANGUAGES, 10, pack=6, score_pack=6)
    make_it_tell(place)
    token = token_of(nomad_with_acl)
    there = NomadWorkplace.on(Nomad(nomad_with_acl, token=token), place)
    s3_client().create_bucket(Bucket=BUCKET)
    there = replace(uploaded(there, BUCKET), flags=("--use-local-creds", "--keep_jobs"))
    submit = there.start("submit", *there.submit_flags("quiet", *TUNING))
    did = [ended(submit, timeout=120)]
    assert did[0].returncode == 0, did[0].stderr
    assert len(there.batch("quiet").job_ids()) >= 2
    item = there.batch("quiet").items[0]
    for verb in (("report",), ("status",), ("logs", item), ("fetch", "--to", "fetched")):
        did.append(there.run(verb[0], "quiet", *verb[1:]))
    secrets = (canaries.secret_key, canaries.access_key, token, nomad_with_acl.token)
    said = "".join(done.stdout + done.stderr for done in did)
    assert_no_secret(there, BUCKET, said, secrets)
    logs = [log.read_text() for log in there.batch("quiet").logs.glob("translate/*/*.stderr.0")]
    assert any("told aws_secret_access_key = ***" in log for log in logs)
    assert_nomad_knows_no(secrets, nomad_with_acl)
    did.append(there.run("purge", "quiet"))
    assert [done.returncode for done in did] == [0] * len(did), [done.stderr for done in did]
    assert there.nomad.jobs("quiet--") == []
    assert there.nomad.call("vars", prefix="nomad/jobs/quiet--") == []
    say(
        f"\nACLs on, shipped policy: {len(there.batch('quiet').items)} items through all verbs;"
        f" {len(secrets)} canaries looked for, none found"
    )


def make_it_tell(place: Workplace) -> None:
    """Let the model print its environment and the keys that its job was given."""
    handler = place.model / "handler.py"
    told = handler.read_text().replace("    def load(self, model_dir, device):\n", f"{TELLING}", 1)
    assert told != handler.read_text()
    handler.write_text(told)


TELLING = """    def load(self, model_dir, device):
        with open(os.environ["AWS_SHARED_CREDENTIALS_FILE"]) as keys:
            for line in (*keys, *(f"{name}={value}" for name, value in os.environ.items())):
                print("told", line, flush=True)
"""


# Rights taken away.


@dataclass(frozen=True)
class Missing:
    """A right that the policy lacks, and what then is said of which call."""

    text: str  # of the policy
    instead: str
    said: str
    flags: tuple[str, ...] = ()


RIGHTS = {
    "list-jobs": Missing('"list-jobs", ', "", "jobs"),
    "read-job": Missing('"read-job", ', "", "job"),
    "submit-job": Missing('"submit-job", ', "", "jobs/parse"),
    "dispatch-job": Missing('"dispatch-job", ', "", "dispatch"),
    "read-logs": Missing(', "read-logs"', "", "client/fs/logs"),
    "nomad/jobs": Missing(
        'path "nomad/jobs/*"', 'path "none/*"', "var/nomad/jobs", ("--use-local-creds",)
    ),
    "coordinator": Missing('path "coordinator/*"', 'path "none/*"', "the lock of batch"),
}


@pytest.mark.parametrize("right", RIGHTS)
def test_a_missing_right_is_named(
    right: str, nomad_with_acl: Cluster, canaries: S3Server, tmp_path: Path
) -> None:
    missing, name = RIGHTS[right], f"lacks-{right.replace('/', '-')}"
    assert missing.text in SHIPPED_POLICY
    token = token_of(nomad_with_acl, SHIPPED_POLICY.replace(missing.text, missing.instead))
    place = one_command(tmp_path / "work", Nomad(nomad_with_acl, token=token))
    batch = place.batch(name)
    flags = ["--pipeline", "pipeline.yml", "--catalog", "items.ndjson", "--cluster", "nomad"]
    flags += ["--job_vars", "job.vars", "--slots", "1", *missing.flags]
    with running(place.start("submit", "--batch_name", name, *flags)) as process:
        wait_until(lambda: process.poll() is not None or is_paused(batch))
        process.terminate()
        done = ended(process)
    tidy(nomad_with_acl, name)
    assert done.returncode in (2, 3), done.stderr
    assert missing.said in done.stderr
    assert "Permission denied" in done.stderr or "token" in done.stderr
    assert "Traceback" not in done.stderr
    print(done.stderr)  # for whoever wants to read what is said


def one_command(folder: Path, nomad: Nomad) -> NomadWorkplace:
    folder.mkdir()
    place = NomadWorkplace(folder, nomad=nomad)
    (folder / "job.vars").write_text(VARIABLES)
    place.pipeline.write_text(ONE_COMMAND)
    (folder / "items.ndjson").write_text('{"id": "one", "properties": {}, "assets": {}}\n')
    return place


def is_paused(batch: NomadBatch) -> bool:
    return batch.exists and batch.count("events WHERE action = 'credentials_paused'") > 0


def tidy(cluster: Cluster, batch: str) -> None:
    for job in cluster.call("GET", "jobs", params={"prefix": f"{batch}--"}):
        cluster.call("DELETE", f"job/{job['ID']}", params={"purge": "true"})
