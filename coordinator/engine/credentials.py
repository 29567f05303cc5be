"""Refused credentials are nobody's fault: the batch waits for better ones, and no item pays."""

import time
from collections.abc import Callable
from typing import Protocol

import structlog

from coordinator.clock import Clock
from coordinator.domain.verdicts import Ending
from coordinator.errors import CredentialsError, KeysRefused, WorkerExit
from coordinator.ledger import Dispatch, Ledger
from coordinator.secrecy import known

FIRST_HOLD, LONGEST_HOLD = 2.0, 30.0  # seconds between two tries
JOBS_HOLD, LONGEST_JOBS_HOLD = 5.0, 300.0  # where only the jobs are refused: a try costs a job
MOST_STRIKES = 3  # pauses in a row for jobs alone; beyond that no new keys are to be hoped for


class Keys(Protocol):
    """The keys that a batch works with, as whoever drives it knows them."""

    def look(self) -> bool:
        """Take over what was renewed; whether anything was. Asked at each tick: it is cheap.

        Raises:
            CredentialsError, ClusterUnavailable: new keys cannot be passed on to the jobs.
        """
        ...

    def advice(self) -> str:
        """Whose keys these are, and what renews them."""
        ...


class NoKeys:
    """Nothing is known of any keys."""

    def look(self) -> bool:
        return False

    def advice(self) -> str:
        return "renew them; that is noticed by itself"


class CredentialsPause:
    """Whether a batch waits for credentials, since when and why."""

    def __init__(
        self, keys: Keys, ledger: Ledger, clock: Clock, probe: Callable[[], object]
    ) -> None:
        """`probe`: something cheap for which the same keys are needed."""
        self._keys, self._ledger, self._clock, self._probe = keys, ledger, clock, probe
        self.why = ""  # in words; "" = the batch does not wait
        self._reason = self._since = ""
        self._hold, self._try_at = FIRST_HOLD, 0.0
        self._newest = 0  # the last dispatch that was sent before the batch last went on
        self._strikes = 0
        self._log = structlog.get_logger()

    def may_go_on(self) -> bool:
        """Whether a tick may be tried; while the batch waits, only now and then.

        Raises:
            CredentialsError: they are still refused.
        """
        renewed = self._keys.look()
        if not self.why:
            return True
        if not renewed and self._clock.monotonic() < self._try_at:
            return False
        self._try_at = self._clock.monotonic()
        self._probe()
        return True

    def begin(self, error: CredentialsError) -> None:
        """Wait, because of this; one pause however often it is refused."""
        advice = self._keys.advice() if isinstance(error, KeysRefused) else error.hint
        self._wait(str(error), advice, self._hold)
        self._hold = min(LONGEST_HOLD, self._hold * 2)

    def end(self) -> None:
        """A tick was allowed all that it asked for: go on."""
        if not self.why or self._clock.monotonic() < self._try_at:
            return
        self.why, self._hold = "", FIRST_HOLD
        self._newest = max((d.id for d in self._ledger.out()), default=self._newest)
        self._ledger.note("credentials_renewed")
        self._log.info("credentials renewed")

    def ended(self, dispatch: Dispatch, ending: Ending) -> None:
        """See whether the keys of a job were refused; jobs sent before the pause say nothing."""
        if self.why or dispatch.id <= self._newest:
            return
        if ending.exit_code != WorkerExit.CREDENTIALS:
            self._strikes = 0
            return
        self._strikes += 1
        hold = min(LONGEST_JOBS_HOLD, JOBS_HOLD * 2.0 ** (self._strikes - 1))
        self._wait(f"the keys of job {dispatch.name} were refused", self._keys.advice(), hold)

    def excuses(self, ending: Ending) -> bool:
        """Whether the items of a job that ended so are given back rather than charged.

        Where jobs alone are refused again and again, with good keys here, waiting helps nobody.
        """
        return ending.exit_code == WorkerExit.CREDENTIALS and self._strikes < MOST_STRIKES

    def _wait(self, why: str, advice: str, hold: float) -> None:
        self._try_at = self._clock.monotonic() + hold
        is_new = not self.why
        if is_new:
            self._since = time.strftime("%H:%M", time.localtime(self._clock.now()))
        if why != self._reason or is_new:
            self._reason = why  # another part may be refused by now
            self.why = known.mask.text(f"credentials refused since {self._since}: {why}; {advice}")
            self._log.warning("credentials refused", why=why)
        if is_new:
            self._ledger.note("credentials_paused", self.why)
