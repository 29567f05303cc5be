"""Answers of Nomad that are none: nothing is concluded from them, and nothing is sent twice."""

import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from agents import Cluster

from coordinator.cluster import JobId, Request
from coordinator.cluster.nomad.api import NomadAddress, NomadApi
from coordinator.cluster.nomad.cluster import NomadCluster
from coordinator.errors import ClusterUnavailable, JobRefused
from tests.acceptance.batches import IMPATIENT, ended, running, wait_until
from tests.acceptance.on_nomad import Nomad
from tests.contract.test_nomad_cluster import parent_of
from tests.fault_proxy import Passing, fault_proxy
from tests.faults.errands import Errands, NomadErrands, assert_each_once
from tests.integration.test_nomad_cluster_rules import job_of
from tests.servers import Answer, web_server

WRONG = 12  # answers of a storm; each may cost an interval
SEED = os.environ.get("COORDINATOR_TEST_SEED", "20")
HTML = b"<html><body>Service Unavailable</body></html>"
JSON = {"content-type": "application/json"}
NONE_OF_NOMADS: dict[str, Answer] = {
    "too many connections": (429, {}, b"Your IP is issuing too many concurrent connections"),
    "no leader": (500, {}, b"No cluster leader"),
    "a lost server": (500, {}, b"rpc error: EOF"),
    "a gateway without a backend": (502, {}, HTML),
    "maintenance": (503, {}, HTML),
    "no such page": (404, {}, b"404 page not found"),
    "a page in place of JSON": (200, {}, HTML),
    "half a document": (200, {"content-length": "99", "connection": "close"}, b'[{"ID": "b--w'),
    "half a list": (200, JSON, b'[{"ID": "b--w'),
    "nothing": (200, JSON, b""),
    "null": (200, JSON, b"null"),
    "another form": (200, JSON, b'{"jobs": []}'),
    "a list of something else": (200, JSON, b'[{"id": 5}, null]'),
    "another place": (307, {"location": "http://127.0.0.1:1/"}, b""),
}


@pytest.mark.parametrize("name", NONE_OF_NOMADS)
def test_nothing_is_concluded_from_an_answer_that_is_none_of_nomads(
    name: str, tmp_path: Path
) -> None:
    parent = parent_of("default", tmp_path)
    job = JobId(f"{parent.id}/dispatch-contract--work.one--a1v1-1-0000abcd")
    spec = job_of(parent, tmp_path, "exit 0")
    with web_server(lambda *_: NONE_OF_NOMADS[name]) as server:
        cluster = NomadCluster(NomadApi(NomadAddress(server.url)), [parent], listen=False)
        for look in (lambda: cluster.observe([job]), lambda: cluster.find(spec, "token")):
            with pytest.raises(ClusterUnavailable) as caught:
                look()
            assert server.url in str(caught.value) and caught.value.hint
        [result] = cluster.submit([Request(spec, "token")])
    assert isinstance(result, ClusterUnavailable), "it may have been carried out, or not"


@pytest.mark.needs_nomad
@pytest.mark.timeout(300)
def test_a_dispatch_that_nomad_finds_at_fault_is_sent_once(
    nomad_agent: Cluster, nomad_namespace: str, tmp_path: Path
) -> None:
    parent = parent_of(nomad_namespace, tmp_path)
    with fault_proxy(nomad_agent.address) as proxy:
        api = NomadApi(NomadAddress(proxy.url, nomad_namespace))
        cluster = NomadCluster(api, [parent], listen=False)
        cluster.prepare()
        whole = api.get("job", parent.id)
        whole["ParameterizedJob"]["MetaRequired"].append("something_else")
        api.put("jobs", json={"Job": whole})
        [result] = cluster.submit([Request(job_of(parent, tmp_path, "exit 0"), "token")])
        sent = [request for request in proxy.seen if "/dispatch?" in request.path]
    assert isinstance(result, JobRefused)
    assert "something_else" in result.why and "required meta" in result.why
    assert len(sent) == 1


@dataclass
class Storm:
    """Once it is loose, some calls are answered wrongly, before they are done or after."""

    dice: random.Random
    is_loose: bool = False
    answered: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, request: Passing) -> Answer | None:
        if "/event/stream" in request.path:
            return 500, {}, b"no events here"
        name = self._drawn(sorted(NONE_OF_NOMADS), 0.15)
        return NONE_OF_NOMADS[name] if name else None

    def cut(self, _request: Passing) -> bool:
        return bool(self._drawn(["cut when it was done"], 0.08))

    def _drawn(self, names: Sequence[str], share: float) -> str:
        with self._lock:
            is_over = self.answered.total() >= WRONG
            if is_over or not self.is_loose or self.dice.random() > share:
                return ""
            name = self.dice.choice(names)
            self.answered[name] += 1
            return name


@pytest.mark.needs_nomad
@pytest.mark.timeout(300)
def test_a_batch_amid_wrong_answers_runs_each_item_once(
    nomad_agent: Cluster, nomad_namespace: str, tmp_path: Path, say: Callable[[str], None]
) -> None:
    errands = Errands.laid_out(tmp_path / "work", [f"i{n}" for n in range(8)])
    storm = Storm(random.Random(SEED))
    with fault_proxy(nomad_agent.address) as proxy:
        proxy.fault, proxy.cut = storm.fault, storm.cut
        place = NomadErrands.of(errands, Nomad(nomad_agent, nomad_namespace, address=proxy.url))
        place = replace(place, program=IMPATIENT)
        batch = place.batch("b")
        with running(place.start("submit", *place.submit_flags("b", "--slots", 4))) as process:
            wait_until(lambda: batch.exists and batch.count("dispatches") > 0)
            storm.is_loose = True
            done = ended(process)
    assert done.returncode == 0, done.stderr
    assert_each_once(batch)
    assert storm.answered.total() >= 3
    say(f"\na storm over Nomad, seed {SEED}: {dict(storm.answered)}")
