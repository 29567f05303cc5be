"""The lock between hosts on a real Nomad: refused, taken over, lost, run out, with the policy."""

import json
import time
from pathlib import Path

import pytest
from agents import Cluster

from coordinator.cluster.nomad import lock
from coordinator.cluster.nomad.api import NomadAddress, NomadApi
from coordinator.cluster.nomad.lock import BatchLock
from coordinator.errors import AccessRefused, BatchBusy
from coordinator.secrecy import Secret
from tests.nomad_agents import token_of
from tests.servers import wait_for

pytestmark = [pytest.mark.needs_nomad, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def short_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shortest that Nomad takes: a silent holder is replaced after 21 s."""
    monkeypatch.setattr(lock, "TTL_SECONDS", 10)
    monkeypatch.setattr(lock, "_TERMS", {"TTL": "10s", "LockDelay": "1s"})


def lock_of(cluster: Cluster, namespace: str, kept: Path, token: str = "") -> BatchLock:
    api = NomadApi(NomadAddress(cluster.address, namespace, token=Secret(token or cluster.token)))
    return BatchLock(api, "b.1", {"namespace": namespace}, kept / "nomad.lock")


def nothing(_why: str) -> None:
    pass


def test_one_holder_at_a_time(nomad_agent: Cluster, nomad_namespace: str, tmp_path: Path) -> None:
    first = lock_of(nomad_agent, nomad_namespace, tmp_path / "one")
    second = lock_of(nomad_agent, nomad_namespace, tmp_path / "two")
    with first.held(nothing) as still_held:
        assert still_held()
        with (
            pytest.raises(BatchBusy, match="process [0-9]+, since") as refused,
            second.held(nothing),
        ):
            pytest.fail("two hold it")
        assert "try again in 50 s" in refused.value.hint
    with second.held(nothing):  # free at once
        pass
    assert nomad_agent.call("GET", "vars", params={"namespace": nomad_namespace}) == []


def test_a_silent_holder_is_replaced(
    nomad_agent: Cluster, nomad_namespace: str, tmp_path: Path
) -> None:
    silent = lock_of(nomad_agent, nomad_namespace, tmp_path / "one")
    silent._take()  # as a process that was killed right then
    began = time.monotonic()
    again = lock_of(nomad_agent, nomad_namespace, tmp_path / "one")
    again._take()  # the same folder: at once
    assert time.monotonic() - began < 2
    other = lock_of(nomad_agent, nomad_namespace, tmp_path / "two")

    def taken() -> bool:
        try:
            other._take()
        except BatchBusy:
            time.sleep(1)
            return False
        return True

    wait_for(taken, 60)
    waited = time.monotonic() - began
    assert not again.is_held() and other.is_held()
    assert 18 < waited < 40
    print(f"\na silent holder (TTL 10 s, delay 1 s) was replaced after {waited:.0f} s")
    other._release()


def test_a_lock_that_is_lost_is_told(
    nomad_agent: Cluster, nomad_namespace: str, tmp_path: Path
) -> None:
    told: list[str] = []
    mine = lock_of(nomad_agent, nomad_namespace, tmp_path)
    with mine.held(told.append) as still_held:
        set_free(nomad_agent, nomad_namespace, tmp_path)
        rival = {"Lock": {"TTL": "10s", "LockDelay": "1s"}, "Items": {"holder": "another"}}
        asked(nomad_agent, nomad_namespace, "lock-acquire", rival)
        wait_for(lambda: bool(told))
        assert "the lock of batch b.1 is lost" in told[0]
        assert not still_held()


def test_a_lock_that_ran_out_is_taken_again_if_nobody_else_had_it(
    nomad_agent: Cluster, nomad_namespace: str, tmp_path: Path
) -> None:
    told: list[str] = []
    mine = lock_of(nomad_agent, nomad_namespace, tmp_path)
    with mine.held(told.append) as still_held:
        before = lock_id(tmp_path)
        set_free(nomad_agent, nomad_namespace, tmp_path)
        wait_for(lambda: lock_id(tmp_path) != before)
        assert still_held() and not told


def set_free(agent: Cluster, namespace: str, folder: Path) -> None:
    """Take the lock from its holder, as when it ran out."""
    asked(agent, namespace, "lock-release", {"Lock": {"ID": lock_id(folder)}})


def asked(agent: Cluster, namespace: str, action: str, body: dict[str, object]) -> None:
    path = "coordinator/batches/b~1"
    where = {"Path": path, "Namespace": namespace}
    params = {"namespace": namespace, action: ""}
    agent.call("PUT", f"var/{path}", params=params, json={**where, **body})


def lock_id(folder: Path) -> str:
    return str(json.loads((folder / "nomad.lock").read_text())["id"])


def test_the_shipped_policy_suffices(nomad_with_acl: Cluster, tmp_path: Path) -> None:
    shipped = token_of(nomad_with_acl)
    for _again in range(2):  # the second takes over what the first left: with the ID it has kept
        lock_of(nomad_with_acl, "default", tmp_path, shipped)._take()
    with lock_of(nomad_with_acl, "default", tmp_path, shipped).held(nothing):
        pass
    assert nomad_with_acl.call("GET", "vars") == []
    less = token_of(nomad_with_acl, 'namespace "default" { capabilities = ["list-jobs"] }')
    refused = lock_of(nomad_with_acl, "default", tmp_path, less)
    with pytest.raises(AccessRefused, match="cannot be taken") as told, refused.held(nothing):
        pytest.fail("it has no right to it")
    assert "coordinator-policy.hcl" in told.value.hint
