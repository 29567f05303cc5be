"""Nomad's event stream is a hint: whatever becomes of it, the end of a job is seen."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from agents import Cluster

from coordinator.cluster.nomad import cluster as nomad_cluster
from coordinator.cluster.nomad.api import NomadAddress, NomadApi
from coordinator.cluster.nomad.cluster import NomadCluster
from tests.contract.clusters import send
from tests.contract.test_nomad_cluster import parent_of
from tests.fault_proxy import Passing, fault_proxy
from tests.integration.test_nomad_cluster_rules import job_of

pytestmark = [pytest.mark.needs_nomad, pytest.mark.timeout(300)]

POLL_SECONDS = 3.0
SLACK = 5.0  # for Nomad to start and end a job on a busy machine
FIRST = b"{}\n"

Stream = Callable[[str, threading.Event], Iterator[bytes]]


def says_nothing(_upstream: str, over: threading.Event) -> Iterator[bytes]:
    """Opened, and then the peer is gone without a word."""
    yield FIRST
    over.wait(60)


def ends_at_once(_upstream: str, _over: threading.Event) -> Iterator[bytes]:
    """What happened until it is opened again is lost."""
    yield FIRST


def is_refused(_upstream: str, _over: threading.Event) -> Iterator[bytes]:
    """An empty stream, as for a refused token."""
    yield b""


def speaks_in_tongues(_upstream: str, over: threading.Event) -> Iterator[bytes]:
    yield b"\xff\x00" * 500_000
    over.wait(60)


def says_all_twice(upstream: str, over: threading.Event) -> Iterator[bytes]:
    """Each piece again, cut where the first one was."""
    with requests.get(upstream, stream=True, timeout=60) as answer:
        while not over.is_set() and (piece := answer.raw.read1(1000)):
            yield piece
            yield piece


@pytest.mark.parametrize(
    "stream", [says_nothing, ends_at_once, is_refused, speaks_in_tongues, says_all_twice]
)
def test_the_end_of_a_job_is_seen_whatever_the_stream_says(
    stream: Stream,
    nomad_agent: Cluster,
    nomad_namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nomad_cluster, "POLL_SECONDS_WITH_HINTS", POLL_SECONDS)
    parent, over = parent_of(nomad_namespace, tmp_path), threading.Event()

    def events(request: Passing) -> Iterator[bytes] | None:
        is_stream = "/event/stream" in request.path
        return stream(nomad_agent.address + request.path, over) if is_stream else None

    with fault_proxy(nomad_agent.address) as proxy:
        proxy.pour = events
        cluster = NomadCluster(NomadApi(NomadAddress(proxy.url, nomad_namespace)), [parent])
        try:
            cluster.prepare()
            job = send(cluster, job_of(parent, tmp_path, "sleep 1.5"), "token")
            began = time.monotonic()
            while cluster.observe([job])[job].ending is None:
                assert time.monotonic() < began + POLL_SECONDS + SLACK
                time.sleep(0.05)
        finally:
            cluster.close()
            over.set()
        listings = sum("/v1/jobs?" in request.path for request in proxy.seen)
    assert listings < 20, "hints do not make it ask again and again"
