"""What happens on the simulated cluster as time goes by: placements, ends, and disasters."""

import heapq
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random

from coordinator.clock import Clock
from coordinator.cluster.base import JobId, JobSpec
from coordinator.cluster.simulated.faults import Fault, Faults
from coordinator.cluster.simulated.runs import Program, Run, Signalled, SimulatedJob, Terminated
from coordinator.domain.verdicts import Ending, StopReason

_HEARTBEAT = 30.0  # seconds until a lost node is missed
_COLLECTED = 300.0  # at most so many seconds after its end, a job may be forgotten

Tell = Callable[[str], None]


class World:
    """The machines and the jobs. Nothing happens in it but in `advance`."""

    def __init__(
        self,
        clock: Clock,
        program: Program,
        *,
        lanes: int,
        nodes: int = 1,
        faults: Faults | None = None,
        kill_timeout: float = 5.0,
        tell: Tell = lambda _line: None,
    ) -> None:
        """An empty cluster of `lanes` lanes in all, on `nodes` nodes.

        Args:
            clock: which somebody else moves.
            program: what every job does.
            lanes: runs at a time.
            nodes: what is lost or drained together.
            faults: what goes wrong; None = nothing.
            kill_timeout: seconds from SIGTERM to SIGKILL.
            tell: hears in words what happens.
        """
        self.clock, self.lanes, self.faults = clock, lanes, faults or Faults(Random(0))
        self.jobs: dict[JobId, SimulatedJob] = {}
        self.of_token: dict[str, JobId] = {}
        self.given: Counter[str] = Counter()  # token -> jobs that it ever gave
        self.forgotten: set[str] = set()  # tokens of jobs that were collected
        self.refused: set[str] = set()  # names of jobs that were
        self.time = clock.monotonic()  # of what happens now
        self.tell = tell
        self._program, self._nodes, self._kill_timeout = program, nodes, kill_timeout
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = self._numbered = self._placed = self._shut = 0
        self._alive: list[Run] = []
        self._waiting: list[SimulatedJob] = []

    # time

    def advance(self) -> None:
        """Let all happen that is due by now."""
        now = self.clock.monotonic()
        while self._due and self._due[0][0] <= now:
            self.time, _, happen = heapq.heappop(self._due)
            happen()
        self.time = now

    def next_at(self) -> float | None:
        """When something happens next, or None."""
        return self._due[0][0] if self._due else None

    def later(self, seconds: float, happen: Callable[[], None]) -> None:
        self._planned += 1
        heapq.heappush(self._due, (self.time + seconds, self._planned, happen))

    # jobs

    def make(self, spec: JobSpec, token: str) -> SimulatedJob:
        """A new job, which is placed when there is a lane."""
        self._numbered += 1
        job = SimulatedJob(JobId(f"{spec.name}-{self._numbered:08x}"), spec, token, self.time)
        self.jobs[job.id] = self._noted(job, "Received", "by the cluster")
        self.of_token[token] = job.id
        self.given[token] += 1
        late = self.faults.strikes(Fault.DELAY)
        self.later(self.faults.within(1.0, 60.0) if late else 0.0, partial(self._queue, job))
        return job

    def stop(self, job: SimulatedJob) -> None:
        """Ask a job to end; what was asked already, or has ended, stays as it is."""
        if job.ending is not None or job.is_asked_to_stop:
            return
        job.is_asked_to_stop = True
        self._noted(job, "Killing", "it was asked to stop")
        if not job.runs:
            job.ending = Ending(stop=StopReason.ASKED, detail="stopped before it was placed")
            return
        for run in job.runs:
            self._ask_to_end(run, StopReason.ASKED)
            if run.unknown_since is not None:
                self._give_up(run)

    def look_again(self, job: SimulatedJob) -> None:
        """Replace what was left unknown."""
        for run in job.runs:
            if run.unknown_since is not None:
                self._replace(run)

    def forget(self, job: SimulatedJob) -> None:
        """Know the job no more; its token is then as good as new."""
        self.jobs.pop(job.id, None)
        if self.of_token.get(job.token) == job.id:
            del self.of_token[job.token]

    # placing

    def _queue(self, job: SimulatedJob) -> None:
        if job.ending is None:
            self._waiting.append(job)
            self._place()

    def _place(self) -> None:
        if self.faults.strikes(Fault.NO_LANES):
            self._shut = self.lanes
            self.later(self.faults.within(5.0, 90.0), self._reopen)
        while self._waiting and len(self._alive) + self._shut < self.lanes:
            job = self._waiting.pop(0)
            if job.ending is None:
                self._start(job)

    def _reopen(self) -> None:
        self._shut = 0
        self._place()

    def _start(self, job: SimulatedJob) -> None:
        self._placed += 1
        node = f"n{1 + self._placed % self._nodes}"
        run = Run(job, len(job.runs) + 1, node, self.time, lambda: self.time)
        job.runs.append(run)
        self._noted(job, "Started", f"on {node}")
        if self.faults.strikes(Fault.NEVER_STARTED):
            run.is_alive = False
            self._over(run, Ending(detail="Driver Failure: image cannot be pulled"))
            return
        self._alive.append(run)
        run.steps = self._program(run)
        self._go_on(run, run.turn)
        self._brew(run)

    # running

    def _go_on(self, run: Run, turn: int) -> None:
        if run.is_alive and run.turn == turn and run.steps is not None:
            steps = run.steps
            self._step(run, lambda: next(steps))

    def _step(self, run: Run, step: Callable[[], float]) -> None:
        run.turn += 1
        turn = run.turn
        try:
            wait = step()
        except StopIteration as end:
            self._died(run, Ending(exit_code=end.value or 0))
        except Signalled as end:
            code = 128 + end.number
            self._died(run, Ending(exit_code=code, signal=end.number, oom_killed=end.oom_killed))
        except Terminated:  # it did not mind the signal at all
            self._died(run, Ending(exit_code=143, signal=15))
        else:
            self.later(wait, partial(self._go_on, run, turn))

    def _ask_to_end(self, run: Run, why: StopReason) -> None:
        """SIGTERM; SIGKILL after a while."""
        if run.is_over or run.stop:
            return
        run.stop = why
        if run.is_alive and run.steps is not None:
            steps = run.steps
            self._step(run, lambda: steps.throw(Terminated()))
            self.later(self._kill_timeout, partial(self._kill, run))

    def _kill(self, run: Run) -> None:
        self._died(run, Ending(exit_code=137, signal=9))

    def _died(self, run: Run, ending: Ending) -> None:
        """The process is gone. Where nobody reaches the node, nobody hears of it."""
        if not run.is_alive:
            return
        run.is_alive = False
        if run.steps is not None:
            run.steps.close()
        self._alive.remove(run)
        self._over(run, ending)
        self._place()

    # ending

    def _over(self, run: Run, ending: Ending) -> None:
        """The cluster sees that a run has ended, or gives it up."""
        if run.is_over:
            return
        run.is_over, run.is_lost, run.unknown_since = True, ending.gone, None
        stop = run.stop
        run.ending = Ending(
            gone=ending.gone and not stop,
            exit_code=ending.exit_code,
            signal=ending.signal,
            oom_killed=ending.oom_killed,
            stop=stop,
            detail=ending.detail,
        )
        said = "lost" if ending.gone else f"exit code {ending.exit_code}"
        self._noted(run.job, "Terminated", said)
        if all(each.is_over for each in run.job.runs):
            self._end(run.job)

    def _end(self, job: SimulatedJob) -> None:
        job.ending = job.runs[-1].ending
        job.has_logs = not self.faults.strikes(Fault.LOGS_LOST)
        if self.faults.strikes(Fault.FORGOTTEN):
            self.later(self.faults.within(1.0, _COLLECTED), partial(self._collect, job))

    def _collect(self, job: SimulatedJob) -> None:
        if job.id in self.jobs:
            self.tell(f"the cluster collects {job.id}")
            self.forgotten.add(job.token)
            self.forget(job)

    # disasters

    def _brew(self, run: Run) -> None:
        """What will befall the node of a run."""
        for fault, strike in (
            (Fault.NODE_LOST, self._lose),
            (Fault.NODE_CUT_OFF, self._cut_off),
            (Fault.DRAINED, self._drain),
        ):
            if self.faults.strikes(fault):
                self.later(self.faults.within(0.0, 60.0), partial(strike, run.node))

    def _on(self, node: str) -> list[Run]:
        return [run for run in self._alive if run.node == node]

    def _lose(self, node: str) -> None:
        """The node dies with all that runs on it; that is seen when it is missed."""
        self.tell(f"{node} is lost")
        for run in self._on(node):
            run.is_alive = False
            self._alive.remove(run)
            self.later(_HEARTBEAT, partial(self._miss, run))
        self._place()

    def _cut_off(self, node: str) -> None:
        """The node works on, but nobody reaches it; when it is back, it ends what was given up."""
        self.tell(f"{node} is cut off")
        back = _HEARTBEAT + self.faults.within(1.0, 300.0)
        for run in self._on(node):
            self.later(back, partial(self._come_back, run))
            self.later(_HEARTBEAT, partial(self._miss, run))

    def _come_back(self, run: Run) -> None:
        """The run's node is reached again, unless it was lost since."""
        if not run.is_alive:
            return
        run.unknown_since = None
        if run.is_over:
            self._kill(run)

    def _miss(self, run: Run) -> None:
        """What runs on a node that is missed is replaced, or left unknown for now."""
        if run.is_over:
            return
        if not run.stop and self.faults.strikes(Fault.LEFT_UNKNOWN):
            self.tell(f"{run.job.id} is left unknown")
            run.unknown_since = self.time
        else:
            self._replace(run)

    def _replace(self, run: Run) -> None:
        """Give a run up; its job may be placed a second time."""
        if not run.job.is_asked_to_stop and self.faults.strikes(Fault.DUPLICATE):
            self.tell(f"{run.job.id} is placed again, beside its run on {run.node}")
            self._start(run.job)
        self._give_up(run)

    def _give_up(self, run: Run) -> None:
        self._over(run, Ending(gone=True, detail="alloc is lost since its node is down"))

    def _drain(self, node: str) -> None:
        self.tell(f"{node} is drained")
        for run in self._on(node):
            self._ask_to_end(run, StopReason.DRAINED)

    def _noted(self, job: SimulatedJob, event: str, detail: str) -> SimulatedJob:
        job.events.append((self.time, event, detail))
        self.tell(f"{job.id}: {event.lower()}: {detail}")
        return job
