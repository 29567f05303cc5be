"""When a batch waits for credentials, and whom a refusal is charged to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.domain.items import WorkItem
from coordinator.domain.states import AttemptState as S
from coordinator.domain.verdicts import Ending
from coordinator.engine.credentials import LONGEST_HOLD, MOST_STRIKES, CredentialsPause
from coordinator.errors import CredentialsError, KeysRefused, WorkerExit
from coordinator.ledger import Dispatch, Ledger
from tests.fakes import HandClock

REFUSED = Ending(exit_code=WorkerExit.CREDENTIALS)
FINE = Ending(exit_code=0)
EXPIRED = KeysRefused("no access to s3://b/k", why="expired (ExpiredToken)")


class FakeKeys:
    renewed = False

    def look(self) -> bool:
        found, self.renewed = self.renewed, False
        return found

    def advice(self) -> str:
        return "renew them"


class Scene:
    """A pause, its clock, and a store that refuses or does not."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.keys, self.refuses, self.probes = HandClock(), FakeKeys(), False, 0
        items = [(WorkItem(f"i{n}"), "") for n in range(9)]
        self.ledger = Ledger.create(folder, self.clock, {}, items)
        self.pause = CredentialsPause(self.keys, self.ledger, self.clock, self.probe)

    def probe(self) -> None:
        self.probes += 1
        if self.refuses:
            raise EXPIRED

    def tick(self, work: Callable[[], None] = lambda: None) -> bool:
        """As the driver does it; whether the tick was tried and allowed."""
        try:
            if not self.pause.may_go_on():
                return False
            if self.refuses:
                raise EXPIRED
            work()
        except CredentialsError as error:
            self.pause.begin(error)
            return False
        self.pause.end()
        return True

    def dispatch(self) -> Dispatch:
        pack = self.ledger.ready(0, fresh=True, limit=1)
        (claimed,) = self.ledger.claim([pack], lambda _, number: f"job-{number}")
        self.ledger.move(claimed, S.CLAIMED, S.SUBMITTED, "id")
        return next(d for d in self.ledger.out() if d.id == claimed.id)

    def actions(self) -> list[str]:
        return [e.action for e in self.ledger.events() if e.action.startswith("credentials")]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "state")


def test_one_pause_however_often_it_is_refused(scene: Scene) -> None:
    assert scene.tick()
    scene.refuses = True
    for _ in range(600):
        assert not scene.tick()
        scene.clock.advance(1)
    assert "expired (ExpiredToken); renew them" in scene.pause.why
    assert 600 / LONGEST_HOLD <= scene.probes <= 600 / LONGEST_HOLD + 5
    scene.refuses = False
    scene.clock.advance(LONGEST_HOLD)
    assert scene.tick()
    assert scene.pause.why == ""
    assert scene.actions() == ["credentials_paused", "credentials_renewed"]


def test_new_keys_are_tried_at_once(scene: Scene) -> None:
    scene.refuses = True
    scene.tick()
    scene.refuses, scene.keys.renewed = False, True
    assert scene.tick()
    assert scene.pause.why == ""


def test_jobs_sent_before_a_pause_begin_no_other(scene: Scene) -> None:
    old = [scene.dispatch() for _ in range(3)]
    scene.pause.ended(old[0], REFUSED)
    assert f"the keys of job {old[0].name} were refused" in scene.pause.why
    scene.pause.ended(old[1], REFUSED)
    scene.clock.advance(60)
    assert scene.tick()
    scene.pause.ended(old[2], REFUSED)
    assert scene.pause.why == ""
    assert scene.actions() == ["credentials_paused", "credentials_renewed"]


def test_jobs_that_are_refused_for_ever_are_charged_in_the_end(scene: Scene) -> None:
    for _ in range(MOST_STRIKES):
        assert scene.pause.excuses(REFUSED)
        sent = scene.dispatch()
        scene.tick(lambda sent=sent: scene.pause.ended(sent, REFUSED))  # type: ignore[misc]
        assert scene.pause.why
        scene.clock.advance(1000)
        assert scene.tick()
    assert not scene.pause.excuses(REFUSED)
    scene.pause.ended(scene.dispatch(), FINE)
    assert scene.pause.excuses(REFUSED)


def test_only_refused_keys_are_excused(scene: Scene) -> None:
    for code in (0, 65, 70, 75, 124, None):
        assert not scene.pause.excuses(Ending(exit_code=code))
