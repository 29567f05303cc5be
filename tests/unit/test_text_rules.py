"""What the last words of a job mean, where nothing else tells why it ended."""

import json
from pathlib import Path

import pytest
import yaml

from coordinator.domain.states import FailureKind as K
from coordinator.domain.verdicts import Ending
from coordinator.errors import BadInput
from coordinator.reports import local_reports
from coordinator.reports.rules import our_rules, read_rules
from coordinator.reports.summary import Summary
from tests.log_trees import LogBuilder

CLIENT = "botocore.exceptions.ClientError: An error occurred ({}) when calling the X operation"
# Each row of the table has its words here, and some that are like them.
WORDS = {
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.": K.OUT_OF_MEMORY,
    "torch.cuda.OutOfMemoryError: HIP out of memory.": K.OUT_OF_MEMORY,
    "OutOfMemoryError": K.OUT_OF_MEMORY,
    "MemoryError": K.OUT_OF_MEMORY,
    "MemoryError: Unable to allocate internal buffer": K.OUT_OF_MEMORY,
    "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 9 GiB": K.OUT_OF_MEMORY,
    "RuntimeError: CUDA out of memory. Tried to allocate 1 MiB": K.OUT_OF_MEMORY,
    "RuntimeError: CUDA failed with error out of memory": K.OUT_OF_MEMORY,
    "RuntimeError: CUDA error: out of memory": K.OUT_OF_MEMORY,
    "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling x": K.OUT_OF_MEMORY,
    "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory": K.OUT_OF_MEMORY,
    "OSError: [Errno 12] Cannot allocate memory": K.OUT_OF_MEMORY,
    "terminate called after throwing an instance of 'std::bad_alloc'": K.OUT_OF_MEMORY,
    "botocore.exceptions.NoCredentialsError: Unable to locate credentials": K.CREDENTIALS,
    CLIENT.format("ExpiredToken"): K.CREDENTIALS,
    CLIENT.format("AccessDenied"): K.CREDENTIALS,
    "botocore.exceptions.EndpointConnectionError: Could not connect": K.INFRASTRUCTURE,
    CLIENT.format("SlowDown"): K.INFRASTRUCTURE,
    "requests.exceptions.ConnectionError: no route": K.INFRASTRUCTURE,
    "ConnectionResetError: [Errno 104] Connection reset by peer": K.INFRASTRUCTURE,
    "socket.gaierror: [Errno -3] Temporary failure in name resolution": K.INFRASTRUCTURE,
    "OSError: [Errno 28] No space left on device: '/x'": K.INFRASTRUCTURE,
    "RuntimeError: No CUDA GPUs are available": K.INFRASTRUCTURE,
    "RuntimeError: CUDA error: uncorrectable ECC error encountered": K.INFRASTRUCTURE,
    "ModuleNotFoundError: No module named 'sacremoses'": K.MODEL_ERROR,
    "RuntimeError: CUDA error: device-side assert triggered": K.MODEL_ERROR,
    # what only sounds like one of them
    "ValueError: the sentence says: MemoryError": K.UNKNOWN,
    "RuntimeError: the translation of 'out of memory' is missing": K.UNKNOWN,
    "KeyError: 'ExpiredToken'": K.UNKNOWN,
    "OSError: [Errno 2] No such file or directory: 'memory'": K.UNKNOWN,
    "MyMemoryErrorLog: nothing": K.UNKNOWN,
    CLIENT.format("NoSuchKey"): K.UNKNOWN,
    "note: No CUDA GPUs are available is what it said": K.UNKNOWN,
}
TRACEBACK = 'Traceback (most recent call last):\n  File "main.py", line 1, in <module>\n    go()\n'


@pytest.fixture
def logs(tmp_path: Path) -> LogBuilder:
    return LogBuilder(tmp_path / "logs")


def report(logs: LogBuilder, rules: Path | None = None) -> Summary:
    folder = logs.root.parent / "report"
    table = read_rules(rules) if rules else None
    return local_reports(logs.root, run_list=None, report_dir=folder, batch=None, rules=table)


def verdict(logs: LogBuilder, rules: Path | None = None) -> tuple[K, int | None]:
    """Kind and line of the only failure."""
    summary = report(logs, rules)
    (group,) = summary.groups
    assert summary.kinds == {group.kind: 1}
    return group.kind, group.line


@pytest.mark.parametrize(("words", "kind"), WORDS.items(), ids=str)
def test_what_the_last_exception_means(logs: LogBuilder, words: str, kind: K) -> None:
    logs.crash("translate", "a", f"{TRACEBACK}{words}\n")
    assert verdict(logs) == (kind, 4)


def test_every_row_has_its_words() -> None:
    table = our_rules().rules
    found = {
        next((n for n, rule in enumerate(table) if _is_of(rule.pattern, words)), None)
        for words in WORDS
    }
    assert found >= set(range(len(table)))


def _is_of(pattern: str, words: str) -> bool:
    import re2

    return re2.search(pattern, words) is not None


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        (Ending(exit_code=0), K.UNKNOWN),
        (Ending(exit_code=1), K.OUT_OF_MEMORY),
        (Ending(exit_code=134, signal=6), K.OUT_OF_MEMORY),
        (Ending(exit_code=75), K.INFRASTRUCTURE),
        (Ending(exit_code=77), K.CREDENTIALS),
        (Ending(gone=True), K.LOST),
        (Ending(exit_code=None, detail="the image is missing"), K.INFRASTRUCTURE),
    ],
)
def test_words_come_last(logs: LogBuilder, ending: Ending, kind: K) -> None:
    logs.dispatch("translate", "a", ending=ending, stderr=f"{TRACEBACK}MemoryError\n")
    assert list(report(logs).kinds) == [kind]


def test_an_exception_that_was_handled_decides_nothing(logs: LogBuilder) -> None:
    logs.crash("translate", "a", f"{TRACEBACK}MemoryError\n2026-01-01 10:00:00 smaller batches\n")
    assert verdict(logs)[0] is K.UNKNOWN


def test_a_sibling_of_the_main_task_decides_nothing(logs: LogBuilder) -> None:
    dispatch = logs.crash("translate", "a", "ended\n")
    dispatch.stream("sidecar", "stderr").write_text(f"{TRACEBACK}MemoryError\n")
    assert report(logs).kinds == {K.UNKNOWN: 1}


def test_what_words_told_is_not_silent(logs: LogBuilder) -> None:
    logs.crash("translate", "a", f"{TRACEBACK}MemoryError\n")
    logs.crash("translate", "b", "")
    summary = report(logs)
    assert (summary.silent, summary.counts.failed) == (1, 2)
    assert (logs.root.parent / "report/fail_out_of_memory.txt").read_text() == "a\n"
    assert (logs.root.parent / "report/silent_failures.txt").read_text() == "b\n"


def test_the_next_command_names_what_the_ledger_does_not_know_by_its_list(
    logs: LogBuilder,
) -> None:
    logs.crash("translate", "a", f"{TRACEBACK}MemoryError\n")
    logs.fail("translate", "b", K.TIMEOUT, "too slow")
    folder = logs.root.parent / "report"
    assert set(report(logs).next_commands) == {
        f"coordinator resubmit b --item_list {folder}/fail_out_of_memory.txt",
        "coordinator resubmit b --kind timeout",
    }


# a table of the user's own


def table(folder: Path, *rows: dict[str, object]) -> Path:
    path = folder / "rules.yml"
    path.write_text(yaml.safe_dump({"format": 1, "rules": list(rows)}))
    return path


def test_rows_of_the_user_come_before_ours(logs: LogBuilder, tmp_path: Path) -> None:
    logs.crash("translate", "a", f"{TRACEBACK}MemoryError: of tile 7\n")
    mine = table(tmp_path, {"pattern": "of tile", "kind": "bad_input"})
    assert verdict(logs, mine) == (K.BAD_INPUT, 4)


def test_our_rows_still_count(logs: LogBuilder, tmp_path: Path) -> None:
    logs.crash("translate", "a", f"{TRACEBACK}MemoryError\n")
    mine = table(tmp_path, {"pattern": "of tile", "kind": "bad_input"})
    assert verdict(logs, mine) == (K.OUT_OF_MEMORY, 4)


def test_what_is_ignorable_decides_nothing(logs: LogBuilder, tmp_path: Path) -> None:
    logs.crash("translate", "a", f"{TRACEBACK}MemoryError\n")
    mine = table(tmp_path, {"pattern": "^MemoryError", "ignorable": True})
    assert verdict(logs, mine)[0] is K.UNKNOWN


def test_a_row_may_speak_of_another_task(logs: LogBuilder, tmp_path: Path) -> None:
    dispatch = logs.crash("translate", "a", "")
    dispatch.stream("proxy", "stderr").write_text("began\nno route to host\n")
    mine = table(tmp_path, {"pattern": "^no route", "task": "proxy", "kind": "infrastructure"})
    assert verdict(logs, mine) == (K.INFRASTRUCTURE, 2)
    found = json.loads((logs.root.parent / "report/messages.json").read_text())
    assert found["infrastructure"][0]["task"] == "proxy"


def test_no_words_make_a_success(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        read_rules(table(tmp_path, {"pattern": "done", "kind": "succeeded"}))
    assert "no words make a success" in str(refused.value.problems[0])
