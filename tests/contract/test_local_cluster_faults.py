"""What only the local executor can be put through: kills of its parts, full disks, sharing."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from coordinator.cluster import Cluster, JobId, JobSpec, Observation, Phase, Resources
from coordinator.cluster.local import LocalCluster
from coordinator.cluster.local.job import JobFolder
from coordinator.domain.states import AttemptState, FailureKind
from coordinator.domain.verdicts import Ending, StopReason, verdict_of
from coordinator.errors import ClusterError, ClusterUnavailable, JobRefused
from tests.contract.clusters import send
from tests.contract.leftovers import end_jobs
from tests.support import require_root

PATIENCE = 60.0
FOREVER = "while :; do sleep 0.05; done"


@pytest.fixture(autouse=True)
def nothing_runs_on(tmp_path: Path) -> Iterator[None]:
    yield
    end_jobs(tmp_path)


def shell(job: JobSpec) -> list[str]:
    return ["/bin/sh", "-c", job.handoff]


def spec(name: str, script: str, *, gpus: int = 0) -> JobSpec:
    return JobSpec(f"{name}--a1v1", "work", script, "", Resources(gpus=gpus))


def open_in(folder: Path, slots: int = 2, **options: object) -> LocalCluster:
    return LocalCluster(folder / "cluster", slots=slots, command=shell, **options)  # type: ignore[arg-type]


def submit(cluster: Cluster, name: str, script: str) -> JobId:
    return send(cluster, spec(name, script), f"token of {name}")


def wait(enough: Callable[[], bool], what: str = "") -> None:
    deadline = time.monotonic() + PATIENCE
    while not enough():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def all_ended(cluster: Cluster, jobs: Sequence[JobId]) -> bool:
    return all(seen.phase is Phase.ENDED for seen in cluster.observe(jobs).values())


def ending(cluster: Cluster, job: JobId) -> Ending:
    wait(lambda: all_ended(cluster, [job]), f"{job} has not ended")
    found = cluster.observe([job])[job].ending
    assert found is not None
    return found


def started(cluster: Cluster, folder: Path, job: JobId) -> dict[str, int]:
    """What the shim recorded of the job's start."""
    record = folder / "cluster" / "jobs" / job / "started.json"
    wait(lambda: bool(cluster.observe([job])) and record.exists(), f"{job} has not started")
    found: dict[str, int] = json.loads(record.read_text())
    return found


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def in_own_process(work: Callable[[], None]) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


# the coordinator dies


def drive(folder: Path, specs: Sequence[JobSpec], slots: int = 4) -> None:
    cluster = open_in(folder, slots)
    jobs = [send(cluster, each, f"token of {each.name}") for each in specs]
    wait(lambda: all_ended(cluster, jobs))


def kill_at_random(folder: Path, kills: int, jobs: int, seed: int) -> None:
    rng, witness = random.Random(seed), folder / "witness"
    specs = [spec(f"job{n}", f"sleep 0.05; echo job{n} >>{witness}") for n in range(jobs)]
    for _ in range(kills):
        coordinator = in_own_process(lambda: drive(folder, specs))
        time.sleep(rng.uniform(0, 0.06))
        coordinator.kill()
        coordinator.join()
    drive(folder, specs)
    assert sorted(lines(witness)) == sorted(f"job{n}" for n in range(jobs))
    cluster = open_in(folder)
    found = [cluster.find(each, f"token of {each.name}") for each in specs]
    assert {ending(cluster, job) for job in found if job} == {Ending(exit_code=0)}
    assert None not in found and len(set(found)) == jobs


def test_each_job_runs_once_however_often_its_coordinator_is_killed(tmp_path: Path) -> None:
    kill_at_random(tmp_path, kills=30, jobs=20, seed=1)


@pytest.mark.soak
def test_each_job_runs_once_over_many_kills(tmp_path: Path) -> None:
    for seed in range(20):
        kill_at_random(tmp_path / str(seed), kills=30, jobs=20, seed=seed)


def test_two_coordinators_share_the_slots_of_a_folder(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    script = f"echo + >>{witness}; sleep 0.1; echo - >>{witness}"
    specs = [spec(f"job{n}", script) for n in range(12)]
    drivers = [in_own_process(lambda: drive(tmp_path, specs, slots=3)) for _ in range(2)]
    for driver in drivers:
        driver.join()
    assert [driver.exitcode for driver in drivers] == [0, 0]
    at_once = [0]
    for mark in lines(witness):
        at_once.append(at_once[-1] + (1 if mark == "+" else -1))
    assert len(at_once) == 1 + 2 * len(specs)
    assert max(at_once) == 3


# the shim dies


def test_a_job_whose_shim_is_killed_is_lost_and_ends(tmp_path: Path) -> None:
    cluster, children = open_in(tmp_path), tmp_path / "children"
    script = f"sleep 1000 & echo $! >{children}; setsid sleep 1000 & echo $! >>{children}; wait"
    job = submit(cluster, "job", script)
    record = started(cluster, tmp_path, job)
    wait(lambda: len(lines(children)) == 2)
    os.kill(record["shim"], signal.SIGKILL)
    found = ending(cluster, job)
    assert found.gone and "was killed" in found.detail
    assert verdict_of(None, found).state is AttemptState.LOST
    pids = [record["worker"], *map(int, lines(children))]
    assert [is_alive(pid) for pid in pids] == [False, False, False]
    assert open_in(tmp_path).observe([job])[job].ending == found


def test_a_stopped_job_whose_shim_is_killed_was_stopped(tmp_path: Path) -> None:
    cluster = open_in(tmp_path)
    job = submit(cluster, "job", f"trap '' TERM; {FOREVER}")
    record = started(cluster, tmp_path, job)
    cluster.stop([job], StopReason.ASKED)
    os.kill(record["shim"], signal.SIGKILL)
    assert verdict_of(None, ending(cluster, job)).state is AttemptState.STOPPED


def test_a_process_that_got_the_same_pid_is_spared(tmp_path: Path) -> None:
    cluster = open_in(tmp_path)
    job = submit(cluster, "job", FOREVER)
    record = started(cluster, tmp_path, job)
    time.sleep(0.05)  # more than a clock tick, which is as long as a pid takes to come back
    stranger = subprocess.Popen(["sleep", "1000"], process_group=0)
    try:
        os.kill(record["shim"], signal.SIGKILL)
        rewrite(tmp_path, job, worker=stranger.pid)
        assert ending(cluster, job).gone
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    assert not is_alive(record["worker"])  # found by the mark in its environment


def test_a_job_from_before_a_restart_of_the_machine_is_lost(tmp_path: Path) -> None:
    cluster = open_in(tmp_path)
    job = submit(cluster, "job", FOREVER)
    record = started(cluster, tmp_path, job)
    os.kill(record["shim"], signal.SIGKILL)
    os.killpg(record["worker"], signal.SIGKILL)
    rewrite(tmp_path, job, boot=record["boot"] + 1)
    found = ending(cluster, job)
    assert found.gone and "restarted" in found.detail


def rewrite(folder: Path, job: JobId, **facts: int) -> None:
    path = folder / "cluster" / "jobs" / job / "started.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def test_a_shim_that_is_asked_to_end_stops_its_job(tmp_path: Path) -> None:
    """As when the machine is shut down."""
    cluster, witness = open_in(tmp_path), tmp_path / "witness"
    job = submit(cluster, "job", f"trap 'echo asked >>{witness}; exit 75' TERM; {FOREVER}")
    record = started(cluster, tmp_path, job)
    time.sleep(0.1)
    os.kill(record["shim"], signal.SIGTERM)
    assert ending(cluster, job) == Ending(exit_code=75)
    assert lines(witness) == ["asked"]


def test_what_has_left_the_process_group_ends_with_the_job(tmp_path: Path) -> None:
    cluster, children = open_in(tmp_path), tmp_path / "children"
    job = submit(cluster, "job", f"setsid sleep 1000 & echo $! >{children}; sleep 0.1")
    assert ending(cluster, job) == Ending(exit_code=0)
    assert [is_alive(int(pid)) for pid in lines(children)] == [False]


def test_a_stop_is_heard_at_any_moment_of_the_start(tmp_path: Path) -> None:
    rng, cluster = random.Random(2), open_in(tmp_path, kill_timeout=PATIENCE)
    for n in range(25):
        job = submit(cluster, f"job{n}", "exec sleep 1000")
        cluster.observe([job])
        time.sleep(rng.uniform(0, 0.03))
        cluster.stop([job], StopReason.ASKED)
        found = ending(cluster, job)
        assert found.stop is StopReason.ASKED
        assert (found.exit_code, found.signal) in ((None, 0), (143, 15))


def test_a_stop_that_was_only_written_down_is_passed_on_by_the_next(tmp_path: Path) -> None:
    cluster = open_in(tmp_path)
    job = submit(cluster, "job", "exec sleep 1000")
    started(cluster, tmp_path, job)
    JobFolder(tmp_path / "cluster", job).ask_to_stop(StopReason.TIME_LIMIT)  # and then killed
    assert ending(open_in(tmp_path), job).stop is StopReason.TIME_LIMIT


def test_the_first_reason_to_stop_stays(tmp_path: Path) -> None:
    cluster = open_in(tmp_path)
    job = submit(cluster, "job", f"trap 'sleep 0.2; exit 1' TERM; {FOREVER}")
    started(cluster, tmp_path, job)
    cluster.stop([job], StopReason.TIME_LIMIT)
    open_in(tmp_path).stop([job], StopReason.ASKED)
    assert ending(cluster, job).stop is StopReason.TIME_LIMIT


# what a job finds


PROBE = """
import json, os, re, sys
fds = [n for n in range(100) if os.path.exists(f"/proc/self/fd/{n}")]
status = open("/proc/self/status").read()
signals = {k: int(re.search(f"{k}:(.*)", status)[1], 16) for k in ("SigIgn", "SigBlk")}
print(json.dumps({"fds": fds, "files": os.listdir("."), "input": sys.stdin.read(), **signals,
    "leads": os.getpgrp() == os.getpid(), "environment": dict(os.environ)}))
"""


def test_a_job_gets_a_clean_place(tmp_path: Path) -> None:
    """Nothing that the coordinator has open, ignores or knows comes along."""
    (tmp_path / "probe.py").write_text(PROBE)
    environment = {"GIVEN": "yes", "PATH": os.environ["PATH"]}
    ignored = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    with open(os.devnull) as ours:
        os.set_inheritable(ours.fileno(), True)
        cluster = open_in(tmp_path, environment=lambda: environment)
        job = submit(cluster, "job", f"exec {sys.executable} -IS {tmp_path}/probe.py")
        assert ending(cluster, job) == Ending(exit_code=0)
    signal.signal(signal.SIGUSR1, ignored)
    found = json.loads((tmp_path / "cluster" / "jobs" / job / "stdout").read_text())
    assert (found["fds"], found["files"], found["input"], found["leads"]) == (
        [0, 1, 2],
        [],
        "",
        True,
    )
    pythons_own = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    the_c_librarys_own = 1 << 31 | 1 << 32
    assert found["SigIgn"] & ~the_c_librarys_own == pythons_own
    assert found["SigBlk"] == 0
    assert found["environment"].items() >= environment.items()
    assert found["environment"]["COORDINATOR_JOB"] == "job--a1v1"
    assert "token" not in str(found["environment"]).lower()
    assert "HOME" not in found["environment"]


def test_graphics_cards_are_shared_out(tmp_path: Path) -> None:
    environment = {"CUDA_VISIBLE_DEVICES": "3,5", "PATH": os.environ["PATH"]}
    cluster = open_in(tmp_path, environment=lambda: environment)
    released = tmp_path / "released"
    script = f"echo $CUDA_VISIBLE_DEVICES; until [ -e {released} ]; do sleep 0.01; done"
    jobs = [send(cluster, spec(f"job{n}", script, gpus=1), f"token {n}") for n in range(2)]
    for job in jobs:
        started(cluster, tmp_path, job)
    released.touch()
    wait(lambda: all_ended(cluster, jobs))
    outs = (tmp_path / "cluster" / "jobs" / job / "stdout" for job in jobs)
    assert [out.read_text() for out in outs] == ["3\n", "5\n"]


def test_jobs_start_in_the_order_of_their_submission(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    names = [f"job{n}" for n in (3, 1, 2, 0)]
    for name in names:  # each by another coordinator
        submit(open_in(tmp_path, slots=1), name, f"echo {name} >>{witness}")
    cluster = open_in(tmp_path, slots=1)
    jobs = [cluster.find(spec(name, ""), f"token of {name}") for name in names]
    wait(lambda: all_ended(cluster, [job for job in jobs if job]))
    assert lines(witness) == names


# what cannot be


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    def missing(_: JobSpec) -> list[str]:
        return ["/no/such/program"]

    cluster = LocalCluster(tmp_path, slots=1, command=missing)
    found = ending(cluster, submit(cluster, "job", ""))
    assert found.exit_code is None
    assert found.detail == "the command cannot be started: No such file or directory"
    assert verdict_of(None, found).kind is FailureKind.INFRASTRUCTURE
    cluster.save_logs(send(cluster, spec("job", ""), "token of job"), tmp_path / "logs")
    written = (tmp_path / "logs" / "worker.stderr.0").read_text()
    assert written == "/no/such/program: No such file or directory\n"


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\nb", "-rf", ".hidden", "x" * 201, "ä"])
def test_a_name_that_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(JobRefused, match="cannot be called"):
        send(open_in(tmp_path), JobSpec(name, "work", "", ""), "token")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "cluster").write_text("a file")
    with pytest.raises(ClusterError) as caught:
        submit(open_in(tmp_path), "job", "exit 0")
    assert str(tmp_path) in caught.value.hint
    assert "Not a directory" in str(caught.value)


def test_a_damaged_record_is_a_lost_job(tmp_path: Path) -> None:
    job = submit(open_in(tmp_path), "job", "exit 0")
    (tmp_path / "cluster" / "jobs" / job / "spec.json").write_text('{"spec": {"na')
    cluster = open_in(tmp_path)
    found = ending(cluster, job)
    assert found.gone and "damaged" in found.detail
    cluster.purge([job])


def test_a_half_submitted_job_is_submitted_again(tmp_path: Path) -> None:
    cluster = open_in(tmp_path)
    wanted = submit(cluster, "job", "exit 0")
    put_aside(tmp_path, wanted)  # as a kill before the last rename leaves it
    cluster = open_in(tmp_path)
    assert cluster.find(spec("job", "exit 0"), "token of job") is None
    assert submit(cluster, "job", "exit 0") == wanted
    assert ending(cluster, wanted) == Ending(exit_code=0)
    assert list((tmp_path / "cluster" / "aside").iterdir()) == []


def test_a_half_purged_job_stays_gone(tmp_path: Path) -> None:
    cluster = open_in(tmp_path)
    job = submit(cluster, "job", "exit 0")
    ending(cluster, job)
    put_aside(tmp_path, job)  # as a kill after the first rename leaves it
    cluster = open_in(tmp_path)
    assert ending(cluster, job).gone
    cluster.purge([job])
    assert list((tmp_path / "cluster" / "jobs").iterdir()) == []
    assert list((tmp_path / "cluster" / "aside").iterdir()) == []


def put_aside(folder: Path, job: JobId) -> None:
    aside = folder / "cluster" / "aside" / job
    aside.mkdir(parents=True)
    (folder / "cluster" / "jobs" / job).rename(aside / "1")


# a full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    require_root("mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with pytest.raises(OSError, match="No space"), ballast.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
    return ballast


def test_a_full_disk_refuses_submits_until_there_is_room(small_disk: Path) -> None:
    cluster = open_in(small_disk)
    ballast = fill(small_disk)
    with pytest.raises(ClusterUnavailable, match="No space") as caught:
        submit(cluster, "job", "exit 0")
    assert "check the disk" in caught.value.hint
    ballast.unlink()
    assert ending(cluster, submit(cluster, "job", "exit 0")) == Ending(exit_code=0)


def test_a_full_disk_delays_a_start_and_says_so(small_disk: Path) -> None:
    cluster = open_in(small_disk)
    job = submit(cluster, "job", "echo ran")
    ballast = fill(small_disk)
    with pytest.raises(ClusterUnavailable, match="cannot be started"):
        wait(lambda: all_ended(cluster, [job]))
    ballast.unlink()
    assert settled(cluster, job) == Ending(exit_code=0)
    assert (small_disk / "cluster" / "jobs" / job / "stdout").read_text() == "ran\n"


def test_a_full_disk_hides_no_ending(small_disk: Path) -> None:
    cluster = open_in(small_disk)
    job = submit(cluster, "job", f"head -c 1000000 /dev/zero >{small_disk}/ballast; exit 65")
    wait(lambda: len(cluster.observe([job])) == 1 and (small_disk / "ballast").exists())
    time.sleep(0.3)
    assert cluster.observe([job])[job].phase is Phase.RUNNING
    (small_disk / "ballast").unlink()
    assert ending(cluster, job) == Ending(exit_code=65)


def settled(cluster: Cluster, job: JobId) -> Ending:
    """The ending, past complaints about a disk that was full a moment ago."""
    for _ in range(10):
        try:
            return ending(cluster, job)
        except ClusterUnavailable:
            time.sleep(0.1)
    return ending(cluster, job)


# what it costs


@pytest.mark.alone
def test_the_cost_of_a_job_is_small(tmp_path: Path) -> None:
    count, cluster = 250, open_in(tmp_path)
    begin = time.monotonic()
    jobs = [submit(cluster, f"job{n}", ":") for n in range(count)]
    wait(lambda: all_ended(cluster, jobs))
    seconds = time.monotonic() - begin
    print(f"\nlocal executor: {1000 * seconds / count:.1f} ms a job, two at a time")
    begin = time.monotonic()
    seen = open_in(tmp_path).observe(jobs)
    print(f"local executor: {1000 * (time.monotonic() - begin):.0f} ms to find {count} jobs again")
    assert {each.ending for each in seen.values()} == {Ending(exit_code=0)}
    assert seconds / count < 0.5


@pytest.mark.alone
def test_observing_costs_next_to_nothing_for_pending_jobs(tmp_path: Path) -> None:
    cluster = open_in(tmp_path, slots=1)
    running = submit(cluster, "running", FOREVER)
    jobs = [submit(cluster, f"job{n}", ":") for n in range(500)]
    started(cluster, tmp_path, running)
    begin = time.process_time()
    for _ in range(20):
        seen: dict[JobId, Observation] = cluster.observe(jobs)
    assert {each.phase for each in seen.values()} == {Phase.PENDING}
    assert (time.process_time() - begin) / 20 < 0.05
    cluster.stop([running, *jobs], StopReason.ASKED)
    wait(lambda: all_ended(cluster, [running, *jobs]))
