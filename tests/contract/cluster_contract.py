"""What every cluster must show, whatever runs its jobs.

A job is a shell script: `handoff` holds its path, and the cluster under test runs it as the job's
one task (`/bin/sh <handoff>`). The scripts leave a witness; that counts, not what the cluster says.
"""

import json
import multiprocessing
import os
import shlex
import signal
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from coordinator.cluster import Cluster, JobId, JobSpec, Observation, Phase, Resources
from coordinator.domain.verdicts import Ending, StopReason
from coordinator.errors import ClusterError
from tests.contract.clusters import send

OpenCluster = Callable[[], Cluster]


class ClusterContract(ABC):
    """Tests over `open_cluster`, which a subclass provides.

    It opens the same cluster each time, as a coordinator does when it starts again: with `LANES`
    lanes, and `KILL_TIMEOUT` seconds from SIGTERM to SIGKILL.
    """

    LANES = 2
    KILL_TIMEOUT = 1.0
    UNKNOWN: tuple[None, ...] = ()  # beside the exit code of a job that was stopped
    PATIENCE = 30.0  # seconds that anything may take
    STEP = "work"
    TASK = "worker"
    RESOURCES = Resources()

    @pytest.fixture
    @abstractmethod
    def open_cluster(self, tmp_path: Path) -> Iterator[OpenCluster]: ...

    @pytest.fixture
    def cluster(self, open_cluster: OpenCluster) -> Cluster:
        return open_cluster()

    # running

    def test_a_job_runs_to_its_end(self, cluster: Cluster, tmp_path: Path) -> None:
        job = self.submit(cluster, tmp_path, "echo ran >>witness")
        assert self.ending(cluster, job) == Ending(exit_code=0)
        assert witness(tmp_path) == ["ran"]

    @pytest.mark.parametrize("code", [0, 1, 65, 70, 75, 77, 124, 255])
    def test_exit_codes_come_through(self, cluster: Cluster, tmp_path: Path, code: int) -> None:
        ending = self.ending(cluster, self.submit(cluster, tmp_path, f"exit {code}"))
        assert (ending.exit_code, ending.signal, ending.gone) == (code, 0, False)

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
    def test_signals_come_through(self, cluster: Cluster, tmp_path: Path, number: int) -> None:
        ending = self.ending(cluster, self.submit(cluster, tmp_path, f"kill -{number} $$"))
        assert ending.exit_code == 128 + number
        assert ending.stop is StopReason.NONE and not ending.gone

    def test_a_running_job_counts_its_seconds(self, cluster: Cluster, tmp_path: Path) -> None:
        job = self.submit(cluster, tmp_path, self.until("released"))
        first = self.until_running(cluster, job)
        self.pause(0.3)
        second = cluster.observe([job])[job]
        assert first.ending is None
        assert 0.2 < second.running_seconds - first.running_seconds < self.PATIENCE
        (tmp_path / "released").touch()
        assert self.ending(cluster, job).exit_code == 0

    def test_nothing_a_job_started_outlives_it(self, cluster: Cluster, tmp_path: Path) -> None:
        child = "sh -c 'sleep 1; echo alive >>witness'"
        job = self.submit(cluster, tmp_path, f"{child} & echo ended >>witness")
        assert self.ending(cluster, job).exit_code == 0
        self.pause(1.2)
        assert witness(tmp_path) == ["ended"]

    def test_lanes_are_filled_and_never_exceeded(self, cluster: Cluster, tmp_path: Path) -> None:
        script = "echo + >>witness; sleep 0.2; echo - >>witness"
        jobs = [self.submit(cluster, tmp_path, script) for _ in range(3 * self.LANES)]
        self.endings(cluster, jobs)
        at_once = [0]
        for mark in witness(tmp_path):
            at_once.append(at_once[-1] + (1 if mark == "+" else -1))
        assert cluster.lanes in (self.LANES, None)
        assert len(at_once) == 1 + 6 * self.LANES and at_once[-1] == 0
        assert max(at_once) == self.LANES

    def test_jobs_beyond_the_lanes_are_pending(self, cluster: Cluster, tmp_path: Path) -> None:
        busy = self.occupy(cluster, tmp_path)
        waiting = self.submit(cluster, tmp_path, "echo late >>witness")
        seen = cluster.observe([waiting])[waiting]
        assert (seen.phase, seen.ending) == (Phase.PENDING, None)
        assert seen.detail
        (tmp_path / "released").touch()
        self.endings(cluster, [*busy, waiting])
        assert witness(tmp_path) == ["late"]

    def test_a_job_lasts_longer_than_its_submitter(
        self, open_cluster: OpenCluster, tmp_path: Path
    ) -> None:
        spec = self.spec(tmp_path, self.until("released") + "echo ran >>witness")

        def submit_and_die() -> None:
            cluster = open_cluster()
            self.until_running(cluster, send(cluster, spec, "a-token"))
            os.kill(os.getpid(), signal.SIGKILL)

        submitter = multiprocessing.get_context("fork").Process(target=submit_and_die)
        submitter.start()
        submitter.join(self.PATIENCE)
        assert submitter.exitcode == -signal.SIGKILL
        cluster = open_cluster()
        job = cluster.find(spec, "a-token")
        assert job is not None
        assert cluster.observe([job])[job].phase is Phase.RUNNING
        (tmp_path / "released").touch()
        assert self.ending(cluster, job) == Ending(exit_code=0)
        assert witness(tmp_path) == ["ran"]

    # one token, one job

    def test_a_repeated_token_is_the_same_job(
        self, open_cluster: OpenCluster, tmp_path: Path
    ) -> None:
        spec = self.spec(tmp_path, "echo ran >>witness")
        cluster = open_cluster()
        jobs = [send(cluster, spec, "a-token") for _ in range(2)]
        jobs.append(send(open_cluster(), spec, "a-token"))
        self.endings(cluster, jobs)
        jobs += [send(cluster, spec, "a-token"), send(open_cluster(), spec, "a-token")]
        assert len(set(jobs)) == 1
        assert self.ending(open_cluster(), jobs[0]) == Ending(exit_code=0)
        assert witness(tmp_path) == ["ran"]

    def test_another_token_is_another_job(self, cluster: Cluster, tmp_path: Path) -> None:
        spec = self.spec(tmp_path, "echo ran >>witness")
        jobs = [send(cluster, spec, "one"), send(cluster, spec, "other")]
        self.endings(cluster, jobs)
        assert len(set(jobs)) == 2
        assert witness(tmp_path) == ["ran", "ran"]

    def test_a_job_is_found_by_name_and_token(
        self, open_cluster: OpenCluster, tmp_path: Path
    ) -> None:
        spec, other = self.spec(tmp_path, "exit 0"), self.spec(tmp_path, "exit 0")
        cluster = open_cluster()
        assert cluster.find(spec, "a-token") is None
        job = send(cluster, spec, "a-token")
        for anyone in (cluster, open_cluster()):
            assert anyone.find(spec, "a-token") == job
            assert anyone.find(spec, "another") is None
            assert anyone.find(other, "a-token") is None

    # observing

    def test_every_question_gets_its_answer(self, cluster: Cluster, tmp_path: Path) -> None:
        job = self.submit(cluster, tmp_path, "exit 0")
        assert cluster.observe([]) == {}
        assert set(cluster.observe([job, JobId("no-such-job")])) == {job, "no-such-job"}

    @pytest.mark.parametrize("unknown", ["no-such-job", "", "../escape", "a/b", "..", "x" * 300])
    def test_an_unknown_job_is_gone(self, cluster: Cluster, unknown: str) -> None:
        job = JobId(unknown)
        seen = cluster.observe([job])[job]
        assert seen.phase is Phase.ENDED
        assert seen.ending is not None and seen.ending.gone
        cluster.stop([job], StopReason.ASKED)
        cluster.purge([job])

    def test_an_ending_stays(self, open_cluster: OpenCluster, tmp_path: Path) -> None:
        cluster = open_cluster()
        job = self.submit(cluster, tmp_path, "exit 65")
        ending = self.ending(cluster, job)
        assert cluster.observe([job])[job].ending == ending
        assert open_cluster().observe([job])[job].ending == ending

    # stopping

    def test_stopping_a_running_job(self, cluster: Cluster, tmp_path: Path) -> None:
        trap = "trap 'echo asked >>witness; exit 3' TERM\necho ran >>witness\n"
        job = self.submit(cluster, tmp_path, trap + self.until("released"))
        self.until_witnessed(cluster, job, tmp_path)
        cluster.stop([job], StopReason.TIME_LIMIT)
        ending = self.ending(cluster, job)
        assert ending.stop is StopReason.TIME_LIMIT
        assert ending.exit_code in (3, *self.UNKNOWN)
        assert witness(tmp_path) == ["ran", "asked"]

    def test_stopping_twice_asks_once(self, cluster: Cluster, tmp_path: Path) -> None:
        trap = "trap 'echo asked >>witness; sleep 0.3; exit 0' TERM\n"
        job = self.submit(cluster, tmp_path, trap + "echo ran >>witness\n" + self.until("released"))
        self.until_witnessed(cluster, job, tmp_path)
        for _ in range(3):
            cluster.stop([job], StopReason.ASKED)
            self.pause(0.05)
        assert self.ending(cluster, job).stop is StopReason.ASKED
        assert witness(tmp_path) == ["ran", "asked"]

    def test_stopping_a_pending_job_runs_nothing(self, cluster: Cluster, tmp_path: Path) -> None:
        busy = self.occupy(cluster, tmp_path)
        waiting = self.submit(cluster, tmp_path, "echo ran >>witness")
        cluster.stop([waiting], StopReason.ASKED)
        ending = self.ending(cluster, waiting)
        assert (ending.stop, ending.exit_code, ending.gone) == (StopReason.ASKED, None, False)
        (tmp_path / "released").touch()
        self.endings(cluster, busy)
        assert witness(tmp_path) == []

    def test_stopping_an_ended_job_changes_nothing(self, cluster: Cluster, tmp_path: Path) -> None:
        job = self.submit(cluster, tmp_path, "exit 70")
        ending = self.ending(cluster, job)
        cluster.stop([job], StopReason.ASKED)
        assert cluster.observe([job])[job].ending == ending

    def test_a_stopped_job_may_still_end_well(self, cluster: Cluster, tmp_path: Path) -> None:
        trap = "trap 'exit 0' TERM\necho ran >>witness\n"
        job = self.submit(cluster, tmp_path, trap + self.until("released"))
        self.until_witnessed(cluster, job, tmp_path)
        cluster.stop([job], StopReason.ASKED)
        ending = self.ending(cluster, job)
        assert ending.stop is StopReason.ASKED
        assert ending.exit_code in (0, *self.UNKNOWN)

    def test_who_ignores_sigterm_is_killed(self, cluster: Cluster, tmp_path: Path) -> None:
        script = "trap '' TERM\necho ran >>witness\n" + self.until("released")
        job = self.submit(cluster, tmp_path, script)
        self.until_witnessed(cluster, job, tmp_path)
        begin = self.time()
        cluster.stop([job], StopReason.ASKED)
        assert self.time() - begin < self.KILL_TIMEOUT
        ending = self.ending(cluster, job)
        assert self.time() - begin > 0.8 * self.KILL_TIMEOUT
        assert ending.stop is StopReason.ASKED
        assert ending.exit_code in (137, *self.UNKNOWN)

    def test_a_stop_outlives_its_coordinator(
        self, open_cluster: OpenCluster, tmp_path: Path
    ) -> None:
        cluster = open_cluster()
        script = "trap '' TERM\necho ran >>witness\n" + self.until("released")
        job = self.submit(cluster, tmp_path, script)
        self.until_witnessed(cluster, job, tmp_path)
        cluster.stop([job], StopReason.TIME_LIMIT)
        cluster.close()
        ending = self.ending(open_cluster(), job)
        assert ending.stop is not StopReason.NONE  # the reason itself is safe in the ledger
        assert ending.exit_code in (137, *self.UNKNOWN)

    # logs

    def test_a_log_is_read_while_it_grows(self, cluster: Cluster, tmp_path: Path) -> None:
        script = "echo one; echo two >&2\n" + self.until("go-on") + "echo three; sleep 1"
        job = self.submit(cluster, tmp_path, script)
        self.until_running(cluster, job)
        assert self.read(cluster, job, "stdout", 0, len(b"one\n")) == b"one\n"
        assert self.read(cluster, job, "stderr", 0, len(b"two\n")) == b"two\n"
        assert cluster.read_log(job, "stdout", len(b"one\n")) == b""
        (tmp_path / "go-on").touch()
        assert self.read(cluster, job, "stdout", len(b"one\n"), len(b"three\n")) == b"three\n"
        self.ending(cluster, job)
        with pytest.raises(ClusterError, match="no-such-job"):
            cluster.read_log(JobId("no-such-job"), "stdout", 0)

    def test_logs_come_home_whole(self, cluster: Cluster, tmp_path: Path) -> None:
        script = "seq 1 20000; printf 'd\\351j\\340 vu\\000' >&2; exit 1"
        job = self.submit(cluster, tmp_path, script)
        self.ending(cluster, job)
        home = tmp_path / "logs" / "deep"
        for _ in range(2):  # repeatable
            cluster.save_logs(job, home)
            numbers = (home / f"{self.TASK}.stdout.0").read_text().split()
            assert numbers == [str(number) for number in range(1, 20001)]
            assert (home / f"{self.TASK}.stderr.0").read_bytes() == b"d\xe9j\xe0 vu\0"
            assert len(list(home.iterdir())) == 3
        events = json.loads((home / "events.json").read_text())
        assert events and all(set(event) == {"time", "event", "detail"} for event in events)

    def test_a_job_that_never_ran_has_empty_logs(self, cluster: Cluster, tmp_path: Path) -> None:
        busy = self.occupy(cluster, tmp_path)
        waiting = self.submit(cluster, tmp_path, "exit 0")
        cluster.stop([waiting], StopReason.ASKED)
        self.ending(cluster, waiting)
        cluster.save_logs(waiting, tmp_path / "logs")
        assert (tmp_path / "logs" / f"{self.TASK}.stdout.0").read_bytes() == b""
        assert json.loads((tmp_path / "logs" / "events.json").read_text())
        (tmp_path / "released").touch()
        self.endings(cluster, busy)

    def test_logs_that_are_home_survive_the_purge(self, cluster: Cluster, tmp_path: Path) -> None:
        job = self.submit(cluster, tmp_path, "echo kept")
        self.ending(cluster, job)
        cluster.save_logs(job, tmp_path / "logs")
        cluster.purge([job])
        with pytest.raises(ClusterError, match=job):
            cluster.save_logs(job, tmp_path / "logs")
        assert (tmp_path / "logs" / f"{self.TASK}.stdout.0").read_text() == "kept\n"

    # purging

    def test_purged_jobs_are_gone(self, open_cluster: OpenCluster, tmp_path: Path) -> None:
        cluster = open_cluster()
        spec = self.spec(tmp_path, "exit 0")
        job, kept = send(cluster, spec, "one"), send(cluster, spec, "other")
        self.endings(cluster, [job, kept])
        for anyone in (cluster, cluster, open_cluster()):  # repeatable
            anyone.purge([job])
            seen = anyone.observe([job, kept])
            assert [gone(seen[each]) for each in (job, kept)] == [True, False]
            assert anyone.find(spec, "one") is None
            assert anyone.find(spec, "other") == kept

    def test_only_ended_jobs_are_purged(self, cluster: Cluster, tmp_path: Path) -> None:
        running, *_ = busy = self.occupy(cluster, tmp_path)
        waiting = self.submit(cluster, tmp_path, "exit 0")
        for alive in (running, waiting):
            with pytest.raises(ClusterError, match=alive):
                cluster.purge([alive])
        (tmp_path / "released").touch()
        assert {e.exit_code for e in self.endings(cluster, [*busy, waiting])} == {0}

    # means

    def time(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Let time pass for the cluster."""
        time.sleep(seconds)

    def spec(self, folder: Path, script: str) -> JobSpec:
        """A job that runs `script` with `folder` as its working folder."""
        name = f"contract--work.{uuid.uuid4().hex[:12]}--a1v1"
        path = folder / f"{name}.sh"
        path.write_text(f"cd {shlex.quote(str(folder))}\n{script}\n")
        return JobSpec(name, self.STEP, str(path), str(folder), self.RESOURCES)

    def submit(self, cluster: Cluster, folder: Path, script: str) -> JobId:
        return send(cluster, self.spec(folder, script), uuid.uuid4().hex)

    def read(self, cluster: Cluster, job: JobId, stream: str, offset: int, size: int) -> bytes:
        """`size` bytes of a stream; what was written a moment ago may take another moment."""
        deadline, found = self.time() + self.PATIENCE, b""
        while len(found) < size and self.time() < deadline:
            found += cluster.read_log(job, stream, offset + len(found))
            self.pause(0.05)
        return found

    def until(self, file: str) -> str:
        """A script that waits for a file."""
        return f"while [ ! -e {file} ]; do sleep 0.02; done\n"

    def occupy(self, cluster: Cluster, folder: Path) -> list[JobId]:
        """Fill all lanes, until a file `released` appears."""
        jobs = [self.submit(cluster, folder, self.until("released")) for _ in range(self.LANES)]
        for job in jobs:
            self.until_running(cluster, job)
        return jobs

    def wait(self, cluster: Cluster, jobs: Sequence[JobId], enough: Callable[[], bool]) -> None:
        deadline = self.time() + self.PATIENCE
        while not enough():
            assert self.time() < deadline, cluster.observe(jobs)
            self.pause(0.01)

    def until_running(self, cluster: Cluster, job: JobId) -> Observation:
        def runs() -> bool:
            return cluster.observe([job])[job].phase is Phase.RUNNING

        self.wait(cluster, [job], runs)
        return cluster.observe([job])[job]

    def until_witnessed(self, cluster: Cluster, job: JobId, folder: Path) -> None:
        self.wait(cluster, [job], lambda: bool(cluster.observe([job]) and witness(folder)))

    def endings(self, cluster: Cluster, jobs: Sequence[JobId]) -> list[Ending]:
        def ended() -> bool:
            return all(seen.phase is Phase.ENDED for seen in cluster.observe(jobs).values())

        self.wait(cluster, jobs, ended)
        endings = [seen.ending for seen in cluster.observe(jobs).values()]
        assert None not in endings
        return [ending for ending in endings if ending is not None]

    def ending(self, cluster: Cluster, job: JobId) -> Ending:
        return self.endings(cluster, [job])[0]


def witness(folder: Path) -> list[str]:
    path = folder / "witness"
    return path.read_text().split() if path.exists() else []


def gone(seen: Observation) -> bool:
    return seen.ending is not None and seen.ending.gone
