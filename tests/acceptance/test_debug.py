"""Looking into a running job of the local executor: stacks, and pdb, and the job that goes on."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pexpect
import pytest

from tests.acceptance.batches import COORDINATOR, Workplace, ended, environment, wait_until
from tests.acceptance.hanging import (
    ITEM,
    SENTENCE,
    debugged,
    handler_of,
    hanging,
    let_go,
    line_of,
    prepare,
)

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    made = Workplace(tmp_path / "work")
    prepare(made)
    return made


def succeeded(submit: "subprocess.Popen[str]") -> bool:
    done = ended(submit)
    return done.returncode == 0 and "1 succeeded" in done.stdout


@pytest.mark.parametrize("way", ["in_python", "in_c", "in_c_with_the_lock"])
def test_debug_names_the_line_twice_in_a_row_and_the_job_succeeds(
    place: Workplace, way: str
) -> None:
    with hanging(place, "b", way) as submit:
        for _ in range(2):
            found = debugged(place, "b")
            assert (found["at"]["file"], found["at"]["line"]) == (
                str(handler_of(place)),
                line_of(way),
            )
            assert found["at"]["function"] == way and found["at"]["is_handler"]
            assert [p["role"] for p in found["processes"]] == ["model", "worker"]
            assert not found["silent"]
        let_go(place)
        assert succeeded(submit)


def test_the_first_line_is_the_answer(place: Workplace) -> None:
    with hanging(place, "b", "in_python"):
        said = place.run("debug", "b", ITEM)
        line = f"{handler_of(place)}:{line_of('in_python')} in in_python"
        assert said.stdout.splitlines()[0] == f"{ITEM} is at {line}"
        assert "process " in said.stdout and "main thread" in said.stdout
        files = list(place.batch("b").jobs()[0].glob("debug/*"))
        assert files and {path.stat().st_mode & 0o777 for path in files} == {0o600}


@pytest.mark.parametrize("way", ["in_python", "busy"])
def test_pdb_prints_a_local_of_a_running_handler_and_the_job_succeeds(
    place: Workplace, way: str
) -> None:
    with hanging(place, "b", way) as submit:
        done = typed(place, "p sentence\nc\n")
        assert repr(SENTENCE) in done.stdout
        assert "The job goes on." in done.stdout
        assert done.returncode == 0
        again = typed(place, "p source_language\nw\n")  # the end of the input is an end as well
        assert "translate" in again.stdout and again.returncode == 0
        let_go(place)
        assert succeeded(submit)
        assert not list(place.batch("b").jobs()[0].glob("debug/*.pdb"))
        assert not list(place.batch("b").jobs()[0].glob("debug/*.wish"))


def test_steps_and_breakpoints_follow_the_handler_and_quitting_ends_nothing(
    place: Workplace,
) -> None:
    with hanging(place, "b", "in_python") as submit:
        shell = spawned(place)
        shell.expect_exact("(Pdb) ")
        for command, answer in (("n", "handler.py"), ("n", "handler.py")):
            shell.sendline(command)
            shell.expect(answer)
            shell.expect_exact("(Pdb) ")
        shell.sendline(f"b {line_of('in_python')}")
        shell.expect("Breakpoint 1")
        shell.expect_exact("(Pdb) ")
        shell.sendline("c")
        shell.expect("in_python")
        shell.expect_exact("(Pdb) ")
        shell.sendline("q")
        shell.expect("The job goes on.")
        shell.expect(pexpect.EOF)
        shell.close()
        assert shell.exitstatus == 0
        let_go(place)
        assert succeeded(submit)


def test_ctrl_c_leaves_the_debugger_and_the_job_goes_on(place: Workplace) -> None:
    with hanging(place, "b", "in_python") as submit:
        shell = spawned(place)
        shell.expect_exact("(Pdb) ")
        shell.sendintr()
        shell.expect("left by Ctrl-C: the job goes on")
        shell.expect(pexpect.EOF)
        shell.close()
        assert shell.exitstatus == 130
        let_go(place)
        assert succeeded(submit)


@pytest.mark.parametrize("way", ["ctrl-c", "terminal closed"])
def test_one_who_leaves_breakpoints_behind_leaves_no_trace(place: Workplace, way: str) -> None:
    """The job is not traced any more, though it never comes to the breakpoint."""
    with hanging(place, "b", "telling_of_traces") as submit:
        shell = spawned(place)
        shell.expect_exact("(Pdb) ")
        shell.sendline(f"b {line_of('in_python')}")
        shell.expect("Breakpoint 1")
        shell.expect_exact("(Pdb) ")
        shell.sendline("c")
        wait_until(lambda: (place.model / "traced").read_text() == "True")
        time.sleep(1.5)  # for as long as somebody is attached it stays
        assert (place.model / "traced").read_text() == "True"
        if way == "ctrl-c":
            shell.sendintr()
            shell.expect(pexpect.EOF)
        shell.close()
        wait_until(lambda: (place.model / "traced").read_text() == "False", 10)
        let_go(place)
        assert succeeded(submit)


def test_a_breakpoint_is_come_to_long_after_the_end_of_a_pipe(place: Workplace) -> None:
    with hanging(place, "b", "in_python") as submit:
        later = f"b {line_of('in_python')}, time.monotonic() > self.due"
        done = typed(place, f"!self.due = time.monotonic() + 1.5\n{later}\nc\np sentence\n")
        assert repr(SENTENCE) in done.stdout and done.returncode == 0
        let_go(place)
        assert succeeded(submit)


def test_pdb_of_a_process_that_is_stuck_in_c_says_so_after_ten_seconds(place: Workplace) -> None:
    with hanging(place, "b", "in_c_for_ever"):
        done = typed(place, "p sentence\n")
        assert done.returncode == 3
        assert "stuck in C: no Python line was reached within 10 s" in done.stderr
        assert debugged(place, "b")["at"]["line"] == line_of("in_c_for_ever")


def test_what_a_job_lies_about_itself_is_made_safe(place: Workplace) -> None:
    with hanging(place, "b", "with_lies") as submit:
        said = place.run("debug", "b", ITEM)
        assert said.returncode == 0, said.stderr
        assert "\x1b" not in said.stdout and r"\x1b]0;evil\x07" in said.stdout
        done = typed(place, "!print('\\x1b[2J')\nc\n")
        assert "\x1b" not in done.stdout and r"\x1b[2J" in done.stdout
        let_go(place)
        assert succeeded(submit)


def test_a_handler_with_signals_of_its_own_gets_none_of_ours(place: Workplace) -> None:
    with hanging(place, "b", "with_own_signals") as submit:
        assert debugged(place, "b")["at"]["function"] == "in_python"
        refused = typed(place, "p sentence\n")
        assert refused.returncode == 2 and "takes no debugger" in refused.stderr
        assert "has a use of its own" in debugged(place, "b")["silent"][0]
        let_go(place)
        assert succeeded(submit)
        assert not (place.model / "signalled").exists()


def test_an_item_that_nobody_works_on_is_no_item_to_debug(place: Workplace) -> None:
    with hanging(place, "b", "not_at_all") as submit:
        assert succeeded(submit)
    done = place.run("debug", "b", ITEM, "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["message"] == f"{ITEM} is not being worked on"
    assert error["why"] == "attempt 1 of translate has ended" and "run-one" in error["hint"]


def typed(place: Workplace, commands: str) -> "subprocess.CompletedProcess[str]":
    """`coordinator debug --pdb`, with its commands by a pipe."""
    return subprocess.run(
        [str(COORDINATOR), "debug", "b", ITEM, "--pdb"],
        cwd=place.folder,
        env=environment(place.folder),
        input=commands,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def spawned(place: Workplace) -> "pexpect.spawn[str]":
    """The same on a terminal."""
    return pexpect.spawn(
        str(COORDINATOR),
        ["debug", "b", ITEM, "--pdb"],
        cwd=str(place.folder),
        env=environment(place.folder),
        encoding="utf-8",
        timeout=60,
    )


@pytest.mark.parametrize("is_stopped", [False, True])
def test_deadlines_stand_still_while_a_debugger_is_attached(
    tmp_path: Path, is_stopped: bool
) -> None:
    """The sentence may take 5 s, its job 10 s; the debugger alone is there for 12 s.

    One that is stopped, as by Ctrl-Z, is attached all the same.
    """
    place = Workplace(tmp_path / "work")
    prepare(place, sentence_timeout=5, time_limit=10)
    with hanging(place, "b", "in_python") as submit:
        shell = spawned(place)
        shell.expect_exact("(Pdb) ")
        os.killpg(shell.pid, signal.SIGSTOP if is_stopped else signal.SIGCONT)
        with pytest.raises(pexpect.TIMEOUT):
            shell.expect("never said", timeout=12)
        os.killpg(shell.pid, signal.SIGCONT)
        let_go(place)
        shell.sendline("c")
        shell.expect(pexpect.EOF)
        assert succeeded(submit)


def test_a_look_moves_no_deadline(tmp_path: Path) -> None:
    place = Workplace(tmp_path / "work")
    prepare(place, sentence_timeout=5)
    with hanging(place, "b", "in_python") as submit:
        assert debugged(place, "b")["at"]["function"] == "in_python"
        assert ended(submit).returncode == 1
        assert place.batch("b").count("items WHERE kind = 'timeout'") == 1
