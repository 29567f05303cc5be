"""A Nomad or a store that hangs or drips keeps nobody waiting who wants to leave."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from agents import Cluster

from coordinator.cluster.nomad import api
from coordinator.cluster.nomad.api import NomadAddress, NomadApi
from coordinator.errors import ClusterUnavailable
from tests.acceptance.batches import BatchSeen, Workplace, ended, running, wait_until
from tests.acceptance.on_nomad import Nomad
from tests.fault_proxy import FaultProxy, Passing, fault_proxy
from tests.faults.errands import Errands, NomadErrands, assert_each_once
from tests.servers import Answer, S3Server

pytestmark = [pytest.mark.needs_nomad, pytest.mark.needs_s3, pytest.mark.timeout(300)]

LONGEST_CALL = 30.0
SOON = 3.0  # seconds from Ctrl-C to the end of the process: one, and what a busy machine adds
ITEMS = [f"i{n}" for n in range(4)]


@dataclass
class Trouble:
    """Befalls the calls that concern it, until it is over."""

    concerns: Callable[[Passing], bool]
    held: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def hang(self, proxy: FaultProxy) -> None:
        """Each call takes half a minute."""
        before = proxy.fault
        proxy.fault = lambda request: before(request) or self._late(request)

    def _late(self, request: Passing) -> None:
        if self.concerns(request):
            self.held += 1
            self.over.wait(LONGEST_CALL)

    def drip(self, proxy: FaultProxy) -> None:
        """Each answer comes at a byte a second, from its first line on."""
        proxy.seconds_a_byte = self._pause

    def _pause(self, request: Passing) -> float:
        if self.over.is_set() or not self.concerns(request):
            return 0.0
        self.held += 1
        return 1.0


@dataclass
class Scene:
    """A batch whose coordinator reaches something through a proxy."""

    place: Workplace
    proxy: FaultProxy
    trouble: Trouble

    def submit(self, batch: str) -> "subprocess.Popen[str]":
        return self.place.start("submit", *self.place.submit_flags(batch, "--slots", 2))


@pytest.fixture(params=["nomad", "s3"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    errands = Errands.laid_out(tmp_path / "work", ITEMS)
    with ExitStack() as stack:
        made = on_nomad if request.param == "nomad" else on_s3
        yield made(request, stack, errands)


def on_nomad(request: pytest.FixtureRequest, stack: ExitStack, errands: Errands) -> Scene:
    agent: Cluster = request.getfixturevalue("nomad_agent")
    proxy = stack.enter_context(fault_proxy(agent.address))
    proxy.fault = without_events
    namespace: str = request.getfixturevalue("nomad_namespace")
    place = NomadErrands.of(errands, Nomad(agent, namespace, address=proxy.url))
    return Scene(place, proxy, Trouble(lambda _request: True))


def on_s3(request: pytest.FixtureRequest, stack: ExitStack, errands: Errands) -> Scene:
    server: S3Server = request.getfixturevalue("s3_server")
    bucket: str = request.getfixturevalue("s3_bucket")
    proxy = stack.enter_context(fault_proxy(server.endpoint))
    patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    patch.setenv("AWS_ENDPOINT_URL", proxy.url)
    return Scene(errands.at(f"s3://{bucket}/root"), proxy, Trouble(is_the_coordinators))


def is_the_coordinators(request: Passing) -> bool:
    """Whether it publishes an output; workers use the same store, and are not to hang here."""
    return "x-amz-copy-source" in {name.lower() for name in request.headers}


def without_events(request: Passing) -> Answer | None:
    """The proxy hands on whole answers, and the event stream has no end."""
    return (500, {}, b"no events here") if "/event/stream" in request.path else None


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_ctrl_c_is_heard_at_once_amid_calls_without_an_answer(scene: Scene, fault: str) -> None:
    batch = scene.place.batch("b")
    with running(scene.submit("b")) as process:
        wait_until(lambda: is_sent(batch) or process.poll() is not None)
        getattr(scene.trouble, fault)(scene.proxy)
        wait_until(lambda: scene.trouble.held > 0 or process.poll() is not None)
        assert process.poll() is None, ended(process).stderr
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        done = ended(process)
    assert time.monotonic() - began < SOON
    assert done.returncode == 130
    assert "stopping" in done.stderr and "leaving" in done.stderr
    assert "coordinator submit --batch_name b --resume" in done.stdout
    assert "Traceback" not in done.stderr
    assert_goes_on(scene, batch)


def is_sent(batch: BatchSeen) -> bool:
    return batch.exists and batch.count("dispatches WHERE state <> 'claimed'") > 0


def assert_goes_on(scene: Scene, batch: BatchSeen) -> None:
    scene.trouble.over.set()
    again = scene.place.resume(batch.name)
    assert again.returncode == 0, again.stderr
    assert_each_once(batch)


def test_ctrl_c_is_heard_at_once_before_there_is_a_batch(scene: Scene) -> None:
    scene.trouble.concerns = lambda _request: True
    scene.trouble.hang(scene.proxy)
    with running(scene.submit("never")) as process:
        wait_until(lambda: scene.trouble.held > 0 or process.poll() is not None)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        done = ended(process)
    scene.trouble.over.set()
    assert time.monotonic() - began < SOON
    assert done.returncode == 130
    assert "interrupted" in done.stderr and "--resume" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "WHOLE_SECONDS", 1.0)

    def bit_by_bit(_request: Passing) -> Iterator[bytes]:
        while True:
            yield b" "
            time.sleep(0.1)

    with fault_proxy("http://127.0.0.1:1") as proxy:
        proxy.pour = bit_by_bit
        began = time.monotonic()
        with pytest.raises(ClusterUnavailable, match="does not answer") as caught:
            NomadApi(NomadAddress(proxy.url)).get("jobs")
    assert 1.0 <= time.monotonic() - began < 3.0
    assert "within 1 s" in caught.value.why
