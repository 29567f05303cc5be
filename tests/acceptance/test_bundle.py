"""`bundle`: what is in it, and that no secret is."""

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from coordinator.cli import main
from coordinator.clock import SystemClock
from coordinator.pipelines import Pipeline
from coordinator.secrecy.sources import scrubbed
from tests.acceptance.batches import COORDINATOR, Workplace, environment
from tests.faults.canaries import Canaries, plant
from tests.ledgers import Hand, make_batch
from tests.servers import file_server

pytestmark = pytest.mark.timeout(300)

NAMES = [
    "README.txt",
    "batch.json",
    "coordinator.log",
    "doctor.json",
    "errors.json",
    "events.ndjson",
    "plan.json",
    "status.json",
    "versions.json",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    clock = SystemClock()
    make_batch(tmp_path, clock)
    hand = Hand(tmp_path, clock)
    hand.end(hand.send(6), failed=("i1", "i2"))
    log = tmp_path / "logs/b/coordinator.log"
    log.parent.mkdir(parents=True)
    log.write_text('{"event": "dispatch home"}\n')
    return tmp_path


Told = tuple[int, str]  # exit code, standard error
Run = Callable[..., Told]


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`coordinator bundle ...` in the folder, in this process: that is quicker than a new one."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COORDINATOR_STATE_DIR", str(folder / "state"))

    def told(*arguments: str, batch: str = "b") -> Told:
        code = main(["bundle", batch, *arguments])
        return code, capsys.readouterr().err

    return told


def files_in(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        found = {}
        for entry in archive:
            assert entry.isfile() and entry.uid == 0 and not entry.uname
            stream = archive.extractfile(entry)
            assert stream
            found[entry.name.removeprefix("b-bundle/")] = stream.read()
    return found


def test_it_holds_what_the_ledger_and_the_log_say(folder: Path, run: Run) -> None:
    code, said = run("--yes")
    assert code == 0, said
    path = folder / "b-bundle.tar.gz"
    assert path.stat().st_mode & 0o777 == 0o600
    files = files_in(path)
    assert list(files) == NAMES
    assert all(name in said for name in NAMES)
    status = json.loads(files["status.json"])
    assert (status["counts"]["failed"], status["total"]) == (2, 10)
    assert json.loads(files["errors.json"]) == [
        {"kind": "model_error", "count": 2, "example": "i1", "reason": "no luck with model_error"}
    ]
    events = [json.loads(line) for line in files["events.ndjson"].splitlines()]
    assert [events[0]["action"], events[1]["action"]] == ["submitted", "claimed"]
    assert json.loads(files["batch.json"])["batch"] == "b"
    assert json.loads(files["plan.json"])["items"] == 10
    assert {"about", "found"} <= json.loads(files["doctor.json"])[0].keys()
    assert json.loads(files["versions.json"])["packages"]["rich"]
    assert files["coordinator.log"] == b'{"event": "dispatch home"}\n'


def test_the_same_batch_gives_the_same_bytes(folder: Path, run: Run) -> None:
    for name in ("one.tar.gz", "two.tar.gz"):
        assert run("--yes", "--out", name)[0] == 0
    one, two = (files_in(folder / name) for name in ("one.tar.gz", "two.tar.gz"))
    changing = {"doctor.json", "plan.json"}  # they are of this very moment
    assert {n: d for n, d in one.items() if n not in changing} == {
        n: d for n, d in two.items() if n not in changing
    }


def test_it_asks_before_it_writes(folder: Path, run: Run) -> None:
    code, said = run()
    assert code == 2
    assert "events.ndjson" in said and "add --yes" in said
    assert not list(folder.glob("*.tar.gz"))
    for answer, written in (("n", False), ("y", True)):
        child: pexpect.spawn[str] = pexpect.spawn(
            str(COORDINATOR),
            ["bundle", "b"],
            cwd=str(folder),
            env=environment(folder),
            encoding="utf-8",
            timeout=60,
        )
        with child:
            child.expect(r"versions.json")
            child.expect(r"write b-bundle.tar.gz\? \[y/N\]")
            assert not list(folder.glob("*.tar.gz"))
            child.sendline(answer)
            child.expect(pexpect.EOF)
        assert bool(list(folder.glob("*.tar.gz"))) == written
    code, said = run("--yes")
    assert code == 2 and "is there already" in said


def test_it_is_made_where_things_are_wrong(folder: Path, run: Run) -> None:
    (folder / "logs/b/coordinator.log").unlink()
    (folder / "out").write_text("no folder")
    assert run("--yes")[0] == 0
    files = files_in(folder / "b-bundle.tar.gz")
    assert files["coordinator.log"] == b""
    assert "FAIL" in files["doctor.json"].decode()
    assert run("--yes", batch="nobody")[0] == 2


@pytest.fixture
def canaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Canaries]:
    served = tmp_path / "served"
    with file_server(served) as server:
        yield plant(tmp_path / "work", server.url, served, monkeypatch)


def test_no_secret_is_in_it(canaries: Canaries, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model tells all that it can find, and fails with it; what is left goes into a bundle."""
    flags = ["--batch_name", "b", "--pipeline", "pipeline.yml", "--model", "model", "--slots", "3"]
    assert Workplace(canaries.folder).run("submit", *flags).returncode == 1
    log = canaries.folder / "local-logs/b/coordinator.log"
    planted = canaries.planted["a password in a settings file"]
    with log.open("a") as stream:  # as an older version might have left it
        stream.write(f'{{"said": "{planted}", "url": "https://a:{"hunter2" * 2}@b.example/x"}}\n')
    monkeypatch.chdir(canaries.folder)
    monkeypatch.setenv("COORDINATOR_STATE_DIR", str(canaries.folder / "state"))
    assert main(["bundle", "b", "--yes"]) == 0
    files = files_in(canaries.folder / "b-bundle.tar.gz")
    assert "cannot log in with" in files["errors.json"].decode()  # there was something to mask
    for place, traces in canaries.traces().items():
        told = [name for name, data in files.items() if any(trace in data for trace in traces)]
        assert told == [], f"{place} is told"
    assert b"hunter2" not in b"".join(files.values())


OPTIONS = {
    "command": [
        "tool",
        "--api-key",
        "kept-1",
        "--password=kept-2",
        "DB_PASSWORD=kept-3",
        "--out=x",
    ],
    "more": ["--token", "--client-secret", "kept-4", "--verbose"],
    "serverPassword": ["kept-5", {"a": "kept-6"}],
    "client_secret": {"text": "kept-7"},
    "pin": {"PASSWORD": 70707},
    "tokens": {"source": 12, "target": [34]},
    "needs_password": True,
    "max_token_count": 56,
    "old_password": None,
}


def test_whatever_stands_under_a_secret_name_is_masked_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = {"name": "translate", "job": "command", "options": {"command": ["true"], **OPTIONS}}
    pipeline = Pipeline.model_validate({"name": "p", "steps": [step]})
    make_batch(tmp_path, SystemClock(), pipeline=pipeline, steps=("translate",))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COORDINATOR_STATE_DIR", str(tmp_path / "state"))
    assert main(["bundle", "b", "--yes"]) == 0
    files = files_in(tmp_path / "b-bundle.tar.gz")
    told = b"".join(files.values())
    assert b"kept-" not in told and b"70707" not in told
    [left] = json.loads(files["batch.json"])["pipeline"]["steps"]
    assert left["options"] == {
        **OPTIONS,
        "command": ["tool", "--api-key", "***", "--password=***", "DB_PASSWORD=***", "--out=x"],
        "more": ["--token", "***", "***", "--verbose"],
        "serverPassword": "***",
        "client_secret": "***",
        "pin": {"PASSWORD": "***"},
    }


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("see https://me:secret@host/x now", "see https://***@host/x now"),
        (
            "s3 https://b/x?a=1&X-Amz-Signature=0ab%2F&c=2",
            "s3 https://b/x?a=1&X-Amz-Signature=***&c=2",
        ),
        ('"Authorization: Bearer abc.def-123456"', '"Authorization: Bearer ***"'),
        ("mail me@example.org or 5 > 3", "mail me@example.org or 5 > 3"),
        ("basic research", "basic research"),
    ],
)
def test_what_looks_like_a_secret_is_scrubbed(text: str, bare: str) -> None:
    assert scrubbed(text) == bare
