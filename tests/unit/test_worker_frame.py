"""The frame around every job, on a real store, with real programs as its work."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import stamina

from coordinator.domain.handoff import (
    Handoff,
    HandoffItem,
    InputRef,
    Outcome,
    has_sizes,
    parse_outcome,
)
from coordinator.domain.paths import AttemptKeys, BatchKeys
from coordinator.domain.reach import Reach
from coordinator.domain.states import FailureKind
from coordinator.errors import (
    BadInput,
    CredentialsError,
    SourceUnreachable,
    StorageUnavailable,
    WorkerExit,
)
from coordinator.storage import Storage, open_storage
from coordinator.workers.command import filled
from coordinator.workers.failures import failure_of, kind_of
from coordinator.workers.frame import run_worker

K = FailureKind
KEY = "b/handoff/d.json"


class Place:
    """An output root and the handoffs in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.storage: Storage = open_storage(str(root))

    def put(self, script: str, items: Sequence[str | HandoffItem], **changes: Any) -> Handoff:
        """A handoff whose items each run the shell script `script`, with `{item}` as $1."""
        options = {"command": ["sh", "-c", script, "sh", "{item}"], "no_data_exit_code": 3}
        given = [HandoffItem(item=i, attempt=1) if isinstance(i, str) else i for i in items]
        values: dict[str, Any] = {
            "batch": "b", "dispatch": "d", "step": "s", "job": "command",
            "output_root": str(self.root), "options": options, "items": tuple(given),
        }  # fmt: skip
        handoff = Handoff(**{**values, **changes})
        self.storage.write(KEY, handoff.model_dump_json().encode())
        return handoff

    def run(self) -> int:
        return run_worker(str(self.root), KEY)

    def keys(self, item: str, attempt: int = 1) -> AttemptKeys:
        return BatchKeys("b").attempt(item, "s", attempt)

    def outcome(self, item: str) -> Outcome:
        outcome = parse_outcome(self.storage.read(self.keys(item).outcome))
        assert outcome is not None
        sizes = {f.name: self.storage.size(self.keys(item).file(f.name)) for f in outcome.files}
        assert has_sizes(outcome, {name: size or 0 for name, size in sizes.items()})
        return outcome

    def is_begun(self, item: str) -> bool:
        return self.storage.size(self.keys(item).begun) is not None

    def is_done(self, item: str) -> bool:
        return self.storage.size(self.keys(item).outcome) is not None

    def failure(self, item: str) -> tuple[FailureKind, str]:
        found = self.outcome(item).failure
        assert found is not None
        return found.kind, found.message


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "out")


# what an item leaves


@pytest.mark.parametrize("blocked", ["file", "outcome"])
def test_a_result_that_is_not_stored_is_told(
    blocked: str, place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.put("echo hello; test $1 != bad", ["good", "bad"])
    keys = place.keys("good")
    key = keys.file("stdout.txt") if blocked == "file" else keys.outcome
    (place.root / key).mkdir(parents=True)  # nothing can be put in its place
    assert place.run() == WorkerExit.TRY_AGAIN
    said = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    told = [(line["event"], line.get("item")) for line in said if line["level"] == "error"]
    assert told == [("result not stored", "good"), ("dispatch failed", None)]
    assert "stdout.txt" in said[-2]["error"] or "outcome" in said[-2]["error"]


def test_a_failure_that_is_not_stored_is_no_result(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.put("exit 1", ["bad"])
    (place.root / place.keys("bad").outcome).mkdir(parents=True)
    assert place.run() == WorkerExit.TRY_AGAIN
    assert "result not stored" not in capfd.readouterr().err


def test_an_item_leaves_its_files_and_then_its_outcome(place: Place) -> None:
    place.put("echo hello $1; echo more > more.txt", ["one", "two"], outputs=("stdout.txt",))
    assert place.run() == 0
    outcome = place.outcome("two")
    assert (outcome.status, outcome.item, outcome.attempt, outcome.dispatch) == (
        "succeeded", "two", 1, "d",
    )  # fmt: skip
    assert [f.name for f in outcome.files] == ["more.txt", "stdout.txt"]
    data = place.storage.read(place.keys("two").file("stdout.txt"))
    assert data == b"hello two\n"
    assert outcome.files[1].sha256 == hashlib.sha256(data).hexdigest()
    assert outcome.started_at <= outcome.ended_at <= time.time()


@pytest.mark.parametrize("code", [0, 70])
def test_event_files_are_stored_whatever_becomes_of_the_item(place: Place, code: int) -> None:
    name = "events.out.tfevents.1.host"
    script = f'echo "curve of $1" > "$COORDINATOR_TENSORBOARD_DIR/{name}"; exit {code}'
    place.put(script, ["one", "two"])
    place.run()
    for item in ("one", "two"):
        key = f"{BatchKeys('b').curves_of(item, 's', 1)}{name}"
        assert place.storage.read(key) == f"curve of {item}\n".encode()
        assert name not in [file.name for file in place.outcome(item).files]


def test_the_outcome_is_written_last_and_begun_first(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("true", ["one", "two"])
    written: list[str] = []
    kind = type(place.storage)
    for method, position in (("write", 1), ("upload", 2)):
        original = getattr(kind, method)

        def noted(*args: Any, original: Any = original, position: int = position) -> None:
            written.append(args[position])
            original(*args)

        monkeypatch.setattr(kind, method, noted)
    assert place.run() == 0
    one, two = place.keys("one"), place.keys("two")
    assert written == [
        *(one.begun, one.file("stdout.txt"), one.outcome),
        *(two.begun, two.file("stdout.txt"), two.outcome),
    ]


def test_no_data_is_no_failure(place: Place) -> None:
    place.put("exit 3", ["one"], outputs=("never.txt",))
    assert place.run() == 0
    assert place.outcome("one").status == "no_data"


def test_an_output_that_is_missing_is_a_fault_of_the_model(place: Place) -> None:
    place.put("true", ["one"], outputs=("stdout.txt", "a.txt", "b.txt"))
    assert place.run() == 70
    kind, message = place.failure("one")
    assert kind is K.MODEL_ERROR and "a.txt, b.txt" in message


def test_links_and_folders_are_not_taken_along(place: Place) -> None:
    script = (
        "ln -s /etc/passwd stolen.txt; mkdir folder; echo x > folder/in; mkfifo pipe; echo y > y"
    )
    place.put(script, ["one"])
    assert place.run() == 0
    assert [f.name for f in place.outcome("one").files] == ["stdout.txt", "y"]
    assert not any("stolen" in key or "pipe" in key for key in place.storage.list("b/"))


def test_a_link_is_no_output(place: Place) -> None:
    place.put("ln -s /etc/passwd a.txt", ["one"], outputs=("a.txt",))
    assert place.run() == 70
    assert place.failure("one")[0] is K.MODEL_ERROR


@pytest.mark.parametrize("name", ["outcome.json", "begun.json"])
def test_a_job_cannot_leave_the_files_of_the_frame(place: Place, name: str) -> None:
    place.put(f"echo '{{}}' > {name}", ["one"])
    assert place.run() == 70
    kind, message = place.failure("one")
    assert kind is K.MODEL_ERROR and name in message


@pytest.mark.parametrize("make", [r"'a\nb'", r"'\377\376'", r"'a\033b'", "'.hidden'"])
def test_a_file_with_a_hostile_name_fails_its_item_alone(place: Place, make: str) -> None:
    place.put(f'[ $1 = two ] || exit 0; : > "$(printf {make})"', ["one", "two", "three"])
    assert place.run() == 70
    kind, message = place.failure("two")
    assert kind is K.MODEL_ERROR and message.isprintable()
    assert place.outcome("one").status == place.outcome("three").status == "succeeded"


# failures


def test_a_failing_item_leaves_the_others_alone(place: Place) -> None:
    place.put("[ $1 = two ] && exit 65; echo $1", ["one", "two", "three"])
    assert place.run() == 65
    assert [place.outcome(i).status for i in ("one", "two", "three")] == [
        "succeeded", "failed", "succeeded",
    ]  # fmt: skip
    assert place.failure("two")[0] is K.BAD_INPUT


@pytest.mark.parametrize(
    ("script", "kind", "code"),
    [
        ("exit 65", K.BAD_INPUT, 65),
        ("exit 70", K.MODEL_ERROR, 70),
        ("exit 1", K.MODEL_ERROR, 70),
        ("exit 124", K.TIMEOUT, 70),
        ("exit 137", K.OUT_OF_MEMORY, 70),
        ("kill -9 $$", K.OUT_OF_MEMORY, 70),
        ("kill -11 $$", K.MODEL_ERROR, 70),
    ],
)
def test_exit_codes_of_a_program(place: Place, script: str, kind: FailureKind, code: int) -> None:
    place.put(script, ["one"])
    assert place.run() == code
    assert place.failure("one")[0] is kind


@pytest.mark.parametrize(("script", "code"), [("exit 75", 75), ("exit 77", 77)])
def test_what_is_no_fault_of_the_item_ends_the_dispatch(
    place: Place, script: str, code: int
) -> None:
    place.put(f"[ $1 = one ] || {script}", ["one", "two", "three"])
    assert place.run() == code
    assert place.is_done("one")
    assert place.is_begun("two") and not place.is_done("two")
    assert not place.is_begun("three")


def test_a_program_that_is_not_there(place: Place) -> None:
    place.put("", ["one"], options={"command": ["no-such-program"]})
    assert place.run() == 70
    kind, message = place.failure("one")
    assert kind is K.MODEL_ERROR and "no-such-program" in message


def test_an_unknown_job_fails_every_item(place: Place) -> None:
    place.put("", ["one", "two"], job="knitting")
    assert place.run() == 65
    assert place.failure("one") == place.failure("two")
    assert place.failure("one")[0] is K.BAD_INPUT and "knitting" in place.failure("one")[1]


def test_options_that_cannot_be_used_fail_every_item(place: Place) -> None:
    place.put("", ["one", "two"], options={"comand": ["true"]})
    assert place.run() in (65, 70)
    assert place.failure("one") == place.failure("two")
    assert "comand" in place.failure("one")[1]


def test_a_handoff_that_cannot_be_read(place: Place) -> None:
    place.storage.write(KEY, b'{"format": 2}')
    assert place.run() == 65
    assert run_worker(str(place.root), "b/handoff/none.json") == 75


# inputs


def with_input(item: str, ref: InputRef) -> HandoffItem:
    return HandoffItem(item=item, attempt=1, inputs={"text": ref})


def test_inputs_come_from_the_store_and_from_outside(place: Place, tmp_path: Path) -> None:
    (tmp_path / "asset.txt").write_text("asset\n")
    place.storage.write("b/earlier.txt", b"earlier\n")
    hashed = hashlib.sha256(b"earlier\n").hexdigest()
    items = [
        with_input("one", InputRef(href=str(tmp_path / "asset.txt"))),
        with_input("two", InputRef(key="b/earlier.txt", sha256=hashed)),
        with_input("three", InputRef(key="b/earlier.txt", sha256="0" * 64)),
    ]
    place.put("", items, options={"command": ["cat", "{input.text}"]})
    assert place.run() == 65
    assert place.storage.read(place.keys("one").file("stdout.txt")) == b"asset\n"
    assert place.storage.read(place.keys("two").file("stdout.txt")) == b"earlier\n"
    kind, message = place.failure("three")
    assert kind is K.BAD_INPUT and "text" in message


@pytest.mark.parametrize("name", ["missing.txt", "folder", "missing/asset.txt", "pipe"])
def test_an_asset_that_cannot_be_read_is_bad_input(place: Place, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    item = with_input("one", InputRef(href=str(tmp_path / name)))
    place.put("", [item, "two"], options={"command": ["true"]})
    assert place.run() == 65
    kind, message = place.failure("one")
    assert kind is K.BAD_INPUT and name in message
    assert place.outcome("two").status == "succeeded"


def test_what_an_earlier_step_left_and_is_gone_may_come_back(place: Place) -> None:
    place.put("true", [with_input("one", InputRef(key="b/gone.txt"))])
    assert place.run() == 75
    assert place.is_begun("one") and not place.is_done("one")


# the command


def test_a_source_that_does_not_answer_is_no_fault_of_the_item(place: Place) -> None:
    """Its attempt failed, and may be made again; the others of the pack go on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    item = with_input("one", InputRef(href=f"http://127.0.0.1:{port}/text"))
    with stamina.set_testing(True, attempts=2):
        place.put("true", [item, "two"], reach=Reach(networks=(ip_network("127.0.0.1"),)))
        assert place.run() == WorkerExit.TRY_AGAIN
    kind, message = place.failure("one")
    assert kind is K.INFRASTRUCTURE
    assert f"http://127.0.0.1:{port}/text does not answer" in message
    assert place.outcome("two").status == "succeeded"


def test_placeholders_are_filled_once(place: Place) -> None:
    item = HandoffItem(item="one", attempt=1, properties={"a": "{item} {property.b} $(id)", "b": 7})
    options = {"command": ["printf", "%s|", "{property.a}", "x{property.b}y", "{item}{item}", "{}"]}
    place.put("", [item], options=options)
    assert place.run() == 0
    left = place.storage.read(place.keys("one").file("stdout.txt"))
    assert left == b"{item} {property.b} $(id)|x7y|oneone|{}|"


def test_a_placeholder_of_something_that_is_not_there(place: Place) -> None:
    place.put("", ["one"], options={"command": ["echo", "{property.size}"]})
    assert place.run() == 65
    assert "property.size" in place.failure("one")[1]
    with pytest.raises(BadInput):
        filled("{input.text}", {"item": "one"})


def test_an_argument_with_a_nul_fails_its_item_alone(place: Place) -> None:
    item = HandoffItem(item="one", attempt=1, properties={"a": "x\0y"})
    place.put("", [item], options={"command": ["echo", "{property.a}"]})
    assert place.run() == 70
    assert place.failure("one")[0] is K.MODEL_ERROR


# once and again


def test_a_repeated_run_does_nothing_again(place: Place, tmp_path: Path) -> None:
    place.put(f"echo $1 >> {tmp_path}/witness; [ $1 = two ] && exit 65; true", ["one", "two"])
    assert place.run() == 65
    before = {key: place.storage.read(key) for key in place.storage.list("b/")}
    assert place.run() == 0
    assert (tmp_path / "witness").read_text() == "one\ntwo\n"
    assert {key: place.storage.read(key) for key in place.storage.list("b/")} == before


def test_a_repeated_run_goes_on_where_the_first_was_killed(place: Place, tmp_path: Path) -> None:
    script = f"echo $1 >> {tmp_path}/witness; [ -e {tmp_path}/again ] || [ $1 = one ] || exit 75"
    place.put(script, ["one", "two", "three"])
    assert place.run() == 75
    (tmp_path / "again").touch()
    assert place.run() == 0
    assert (tmp_path / "witness").read_text() == "one\ntwo\ntwo\nthree\n"


def test_a_repeated_run_that_cannot_start_takes_nothing_back(place: Place) -> None:
    handoff = place.put("[ $1 = one ] || exit 75", ["one", "two"])
    assert place.run() == 75
    broken = handoff.model_copy(update={"job": "knitting"})
    place.storage.write(KEY, broken.model_dump_json().encode())
    assert place.run() == 65
    assert place.outcome("one").status == "succeeded"
    assert place.failure("two")[0] is K.BAD_INPUT


# being stopped


def start(place: Place) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "coordinator.workers", str(place.root), KEY]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_worker_finishes_what_is_in_hand(
    place: Place, tmp_path: Path, number: int
) -> None:
    script = f"touch {tmp_path}/$1; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    place.put(script, ["one", "two", "three"])
    worker = start(place)
    wait_for(tmp_path / "one")
    worker.send_signal(number)
    time.sleep(0.1)
    (tmp_path / "go").touch()
    assert worker.wait(30) == 75
    assert place.outcome("one").status == "succeeded"
    assert not place.is_begun("two") and not place.is_begun("three")
    assert place.run() == 0
    assert [place.outcome(i).status for i in ("one", "two", "three")] == ["succeeded"] * 3


def test_a_program_that_dies_of_the_same_signal_has_not_failed(
    place: Place, tmp_path: Path
) -> None:
    """A stop goes to the whole process group: the item in hand gets no verdict from that."""
    place.put(f"touch {tmp_path}/$1; sleep 30", ["one", "two"])
    worker = start(place)
    wait_for(tmp_path / "one")
    os.killpg(worker.pid, signal.SIGTERM)
    assert worker.wait(30) == 75
    assert place.is_begun("one") and not place.is_done("one") and not place.is_begun("two")


def test_a_killed_worker_leaves_what_was_done(place: Place, tmp_path: Path) -> None:
    place.put(f"touch {tmp_path}/$1; [ $1 = one ] || sleep 30", ["one", "two", "three"])
    worker = start(place)
    wait_for(tmp_path / "two")
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait(30)
    assert place.outcome("one").status == "succeeded"
    assert place.is_begun("two") and not place.is_done("two") and not place.is_begun("three")


# errors as kinds


class OutOfMemoryError(RuntimeError):
    """As torch has it."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadInput("x"), K.BAD_INPUT),
        (CredentialsError("x"), K.CREDENTIALS),
        (StorageUnavailable("x"), K.INFRASTRUCTURE),
        (SourceUnreachable("x"), K.INFRASTRUCTURE),
        (MemoryError(), K.OUT_OF_MEMORY),
        (OutOfMemoryError("CUDA out of memory"), K.OUT_OF_MEMORY),
        (ValueError("x"), K.MODEL_ERROR),
        (RecursionError(), K.MODEL_ERROR),
    ],
)
def test_the_kind_of_an_error(error: Exception, kind: FailureKind) -> None:
    assert kind_of(error) is kind
    assert failure_of(error).kind is kind


def test_a_message_with_half_a_character_can_be_written_down() -> None:
    text = failure_of(ValueError("a\udc80b")).model_dump_json()
    assert json.loads(text)["message"] == r"ValueError: a\udc80b"


def test_the_traceback_is_kept() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        failure = failure_of(error)
    assert "json.loads" in failure.traceback and "JSONDecodeError" in failure.message


def test_a_worker_loads_little_before_it_has_work() -> None:
    """It starts once for each dispatch, and what is small may be sent one by one."""
    jobs = ("frame", "inference", "command")
    script = "".join(f"import coordinator.workers.{job}\n" for job in jobs)
    script += "import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    loaded = {*done.stdout.split()}
    assert not {"structlog", "rich", "asyncio", "boto3", "torch", "numpy"} & loaded
    assert "coordinator.workers.frame" in loaded


def test_of_a_limited_batch_texts_are_cut_and_the_outcome_says_so(
    place: Place, tmp_path: Path
) -> None:
    text = tmp_path / "text"
    text.write_bytes(b"one\ntwo\nthree\n")
    inputs = {
        "cut": InputRef(href=str(text), lines=2),
        "whole": InputRef(href=str(text)),
        "short": InputRef(href=str(text), lines=9),
    }
    item = HandoffItem(item="i", attempt=1, inputs=inputs)
    command = ["sh", "-c", 'cat "$1" > cut; cat "$2" > whole; cat "$3" > short', "sh"]
    command += ["{input.cut}", "{input.whole}", "{input.short}"]
    words = "limited: the first 2 sentences of each text"
    place.put("", [item], options={"command": command}, limited=words)
    assert place.run() == 0
    left = {n: place.storage.read(place.keys("i").file(n)) for n in ("cut", "whole", "short")}
    assert left == {"cut": b"one\ntwo\n", "whole": text.read_bytes(), "short": text.read_bytes()}
    assert place.outcome("i").facts["limited"] == words


def test_a_failed_outcome_of_a_limited_batch_says_so_too(place: Place) -> None:
    place.put("exit 1", ["i"], limited="limited: the first item")
    place.run()
    failed = place.outcome("i")
    assert failed.status == "failed" and failed.facts["limited"] == "limited: the first item"


def test_an_outcome_of_a_whole_batch_says_nothing_of_limits(place: Place) -> None:
    place.put("true", ["i"])
    assert place.run() == 0
    assert "limited" not in place.outcome("i").facts
