"""`coordinator doctor`: on a real Nomad, a real S3 server, and where something is amiss."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from agents import SHORT_HEARTBEATS, Cluster

from coordinator.cli import main
from tests.nomad_agents import StartAgent, token_of
from tests.servers import S3Server, free_port
from tests.support import REPOSITORY

PIPELINE = "inputs/demo/pipeline.yml"

pytestmark = pytest.mark.timeout(600)
needs_nomad = pytest.mark.needs_nomad


@pytest.fixture(autouse=True)
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, and no Nomad in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("NOMAD_ADDR", "NOMAD_TOKEN", "NOMAD_NAMESPACE", "NOMAD_REGION", "NOMAD_CACERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COORDINATOR_STATE_DIR", str(tmp_path / "state"))


class Doctor:
    """What it said, and its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *flags: object) -> None:
        capsys.readouterr()
        self.code = main(["doctor", "--json", *map(str, flags)])
        self.text = capsys.readouterr().out
        self.document: dict[str, Any] = json.loads(self.text)

    def of(self, about: str) -> list[tuple[str, str]]:
        """Level and finding of each line about this."""
        return [(f["level"], f["found"]) for f in self.document["findings"] if f["about"] == about]

    @property
    def levels(self) -> set[str]:
        return {f["level"] for f in self.document["findings"]}


def use(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, token: str = "") -> None:
    monkeypatch.setenv("NOMAD_ADDR", cluster.address)
    monkeypatch.setenv("NOMAD_TOKEN", token)


def test_all_is_well_on_this_machine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = REPOSITORY / "inputs/demo/model"
    seen = Doctor(capsys, "--pipeline", REPOSITORY / PIPELINE, "--model", model)
    assert seen.code == 0 and "FAIL" not in seen.levels
    assert seen.of("pipeline") == [("ok", "demo: translate, score")]
    assert seen.of("outputs")[0][0] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_all_faults_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "wrong.yml").write_text("name: x\nstpes: []\n")
    (tmp_path / "file").touch()
    seen = Doctor(
        capsys, "--pipeline", "wrong.yml", "--model", "nowhere", "--output_root", "file/x"
    )
    assert seen.code == 1
    for about in ("pipeline", "model", "outputs"):
        assert "FAIL" in {level for level, _ in seen.of(about)}, about
    assert "stpes" in seen.text
    assert main(["doctor", "--output_root", "file/x"]) == 1
    assert "try: " in capsys.readouterr().out


@pytest.mark.needs_s3
def test_a_bucket(
    capsys: pytest.CaptureFixture[str],
    s3_bucket: str,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = Doctor(capsys, "--output_root", f"s3://{s3_bucket}/root")
    assert seen.code == 0
    assert seen.of("credentials") == [("ok", "AWS keys from the environment")]
    assert "written, read and removed" in seen.of("outputs")[0][1]
    assert s3_server.secret_key not in seen.text and s3_server.access_key not in seen.text
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    seen = Doctor(capsys, "--output_root", f"s3://{s3_bucket}/root")
    assert seen.code == 1 and seen.of("outputs")[0][0] == "FAIL"
    assert "another-secret" not in seen.text


def test_no_nomad(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOMAD_ADDR", f"http://127.0.0.1:{free_port()}")
    seen = Doctor(capsys, "--cluster", "nomad")
    assert seen.code == 1
    [(level, found)] = seen.of("nomad")
    assert level == "FAIL" and "does not answer" in found


@needs_nomad
def test_a_nomad_without_acl(
    capsys: pytest.CaptureFixture[str], nomad_agent: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(nomad_agent, monkeypatch)
    seen = Doctor(capsys, "--cluster", "nomad")
    assert seen.code == 0, seen.text
    assert seen.of("version") == [("ok", "Nomad 1.11.3")]
    assert seen.of("token") == [("ok", "ACLs are off: everybody may do everything")]
    assert seen.of("drivers")[0][1].startswith("raw_exec on 1")
    assert seen.of("clocks") == [("ok", "those of 1 nodes agree with this machine's")]
    assert seen.of("job_gc_threshold") == [("ok", "72h")]


@needs_nomad
def test_rights_by_name(
    capsys: pytest.CaptureFixture[str], nomad_with_acl: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    nomad = nomad_with_acl
    use(nomad, monkeypatch, token_of(nomad))
    seen = Doctor(capsys, "--cluster", "nomad")
    assert seen.code == 0, seen.text
    assert "read-logs" in seen.of("rights")[0][1]
    assert seen.of("memory")[0][0] == "warn"  # the shipped policy reads no agent
    half = 'namespace "default" { capabilities = ["list-jobs", "read-job", "submit-job"] }'
    use(nomad, monkeypatch, token_of(nomad, half))
    seen = Doctor(capsys, "--cluster", "nomad")
    assert seen.code == 1
    level, found = seen.of("rights")[0]
    assert level == "FAIL"
    assert found.endswith("dispatch-job, node read, variables coordinator/*, read-logs")
    assert nomad.call("GET", "jobs") == [] and nomad.call("GET", "vars") == []


@needs_nomad
def test_a_token_that_is_unknown(
    capsys: pytest.CaptureFixture[str], nomad_with_acl: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = "3c6e6bd4-0000-4000-8000-000000000000"
    use(nomad_with_acl, monkeypatch, unknown)
    seen = Doctor(capsys, "--cluster", "nomad")
    assert seen.code == 1 and seen.of("token")[0][0] == "FAIL"
    assert unknown not in seen.text


@needs_nomad
def test_a_nomad_that_forgets_soon(
    capsys: pytest.CaptureFixture[str], start_nomad: StartAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = {"job_gc_threshold": "1h", "gc_max_allocs": 50, "event_buffer_size": 100}
    nomad = start_nomad(dataclasses.replace(SHORT_HEARTBEATS, **soon))
    use(nomad, monkeypatch)
    seen = Doctor(capsys, "--cluster", "nomad")
    assert seen.code == 0
    assert {seen.of(about)[0][0] for about in ("job_gc_threshold", "event_buffer_size")} == {"warn"}
    client = dataclasses.replace(nomad, servers=nomad.clients)  # another agent is asked
    use(client, monkeypatch)
    seen = Doctor(capsys, "--cluster", "nomad")
    assert seen.of("gc_max_allocs")[0][0] == "warn"
    assert seen.of("rights") == [] or seen.of("rights")[0][0] == "ok"
    nomad.clients[0].kill()
    nomad.wait_for(lambda: nomad.nodes()["client1"]["Status"] == "down", "its node to be down", 90)
    use(nomad, monkeypatch)
    seen = Doctor(capsys, "--cluster", "nomad")
    assert seen.code == 1 and seen.of("nodes")[0] == ("FAIL", "none of 1 takes jobs")
