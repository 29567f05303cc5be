"""Watches over one job, from its start to its end, whatever becomes of the coordinator.

Run as `python -I -S shim.py FOLDER KILL_TIMEOUT COMMAND...`. It inherits two locked descriptors,
the slot and the job, and holds them until it ends: that is how others know that the job runs. It
must start in a few milliseconds, so it imports next to nothing (json alone would take as long as
all else), and what it records is numbers only.
"""

import errno
import os
import signal
import sys
import time

SLOT, JOB = 3, 4  # descriptors; they are closed in this order, so an ended job has freed its slot
STARTED, ENDED, STOP, SCRATCH = "started.json", "ended.json", "stop.json", "scratch"
MARK = "COORDINATOR_JOB_FOLDER"  # in the environment of every process of the job

_IGNORED_BY_PYTHON = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_DEATH = 5.0  # seconds that a killed process may take to go


def main(folder: str, kill_timeout: float, command: list[str]) -> None:
    os.chdir(folder)
    _keep_descriptors()
    worker, go, fault = _fork(command)
    _Stopping(worker, kill_timeout).listen()
    _write(STARTED, worker=worker, worker_start=start_of(worker), **_about_now())
    released = not os.path.exists(STOP)
    if released:
        os.write(go, b"!")
    os.close(go)
    reason = os.read(fault, 16)  # empty as soon as the command runs
    ending = _wait(worker, folder)
    _insist(_ending_facts(released, reason, *ending))


def _keep_descriptors() -> None:
    """Keep the locks from the worker, and nothing else that the coordinator had open."""
    os.set_inheritable(SLOT, False)
    os.set_inheritable(JOB, False)
    os.closerange(JOB + 1, 1 << 20)


def _fork(command: list[str]) -> tuple[int, int, int]:
    """The worker's process, held back until `go` is written; why it cannot run comes by `fault`.

    It is held back so that no worker ever runs without a record of its start: were this process
    killed before that, `go` closes and the worker ends without having done anything.
    """
    held, go = os.pipe()
    fault, report = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.close(go)
        _become(command, held, report)
    os.close(held)
    os.close(report)
    os.setpgid(worker, worker)
    return worker, go, fault


def _become(command: list[str], held: int, report: int) -> None:
    try:
        os.setpgid(0, 0)
        for each in _IGNORED_BY_PYTHON:
            signal.signal(each, signal.SIG_DFL)
        if os.read(held, 1):
            os.chdir(SCRATCH)
            os.execvp(command[0], command)
    except OSError as error:
        os.write(2, os.fsencode(f"{command[0]}: {error.strerror}\n"))
        os.write(report, b"%d" % (error.errno or errno.EINVAL))
    finally:
        os._exit(127)


class _Stopping:
    """On SIGTERM the job gets one too, and SIGKILL when it does not end in time.

    Asking again changes nothing.
    """

    def __init__(self, group: int, kill_timeout: float) -> None:
        self._group, self._timeout, self._asked = group, max(kill_timeout, 0.001), False

    def listen(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, lambda *_: kill_group(self._group, signal.SIGKILL))
        signal.signal(signal.SIGTERM, lambda *_: self._ask())

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            signal.setitimer(signal.ITIMER_REAL, self._timeout)
            kill_group(self._group, signal.SIGTERM)


def _wait(worker: int, folder: str) -> tuple[int, float, int]:
    """Until nothing of the job runs: its wait status, CPU seconds and largest memory in KiB."""
    os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)  # not reaped: its group id stays its own
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    end_processes(worker, folder)
    _, status, usage = os.wait4(worker, 0)
    return status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def _ending_facts(
    released: bool, reason: bytes, status: int, cpu_seconds: float, memory_kib: int
) -> dict[str, float]:
    facts: dict[str, float] = {"cpu_seconds": cpu_seconds, "memory_kib": memory_kib}
    if reason:
        facts["errno"] = int(reason)
    elif released and os.WIFSIGNALED(status):
        facts["signal"] = os.WTERMSIG(status)
    elif released:
        facts["exit_code"] = os.WEXITSTATUS(status)
    return facts


def _insist(facts: dict[str, float]) -> None:
    """Record the end, however long the disk stays full: nothing else knows it."""
    while True:
        try:
            return _write(ENDED, **facts, time=time.time(), steady=steady())
        except OSError as error:
            if error.errno not in _DISK_FULL:
                raise
            time.sleep(1.0)


def _write(name: str, **facts: float) -> None:
    with open(f"{name}.part", "w", encoding="ascii") as stream:
        entries = ", ".join(f'"{key}": {fact}' for key, fact in facts.items())
        stream.write(f"{{{entries}}}\n")
    os.replace(f"{name}.part", name)


def _about_now() -> dict[str, float]:
    shim = os.getpid()
    return {
        "shim": shim,
        "shim_start": start_of(shim),
        "boot": boot(),
        "steady": steady(),
        "time": time.time(),
    }


# What the coordinator uses as well.


def steady() -> float:
    """Seconds since this machine was started; no change of the wall clock moves it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot() -> int:
    """What tells this run of the machine from every other."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return int(stream.read().strip().replace("-", ""), 16)


def start_of(pid: int) -> int:
    """When the process began, in clock ticks since the machine did; 0 = no such process.

    With the pid it names one process for good: pids are used again, but not within a tick.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return int(stream.read().rpartition(b")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def kill_group(group: int, number: int) -> None:
    _send(-group, number)


def end_processes(group: int, folder: str) -> None:
    """Kill what runs of the job, and wait until it is gone.

    A process that has left the group (0 = not known) is found by the mark that it inherited.
    """
    if group:
        kill_group(group, signal.SIGKILL)
    patience = steady() + _DEATH
    while (found := _marked(folder)) and steady() < patience:
        for pid in found:
            _send(pid, signal.SIGKILL)
        time.sleep(0.002)


def _marked(folder: str) -> list[int]:
    mark, own = b"\0" + os.fsencode(f"{MARK}={folder}") + b"\0", str(os.getpid())
    others = (name for name in os.listdir("/proc") if name.isdigit() and name != own)
    return [int(name) for name in others if mark in b"\0" + _environment(name)]


def _environment(pid: str) -> bytes:
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:
            return stream.read()
    except OSError:
        return b""  # it is gone, or somebody else's


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # it is gone, or what is left of it has become somebody else's


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3:])
    os._exit(0)
