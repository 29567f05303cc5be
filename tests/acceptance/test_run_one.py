"""One item of a batch, worked off again on this machine: the batch is as it was."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.batches import COORDINATOR, Workplace, ended, environment
from tests.acceptance.hanging import ITEM, SENTENCE, hanging, prepare

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A batch that is finished."""
    made = Workplace(tmp_path_factory.mktemp("run-one") / "work")
    prepare(made)
    with hanging(made, "b", "not_at_all") as submit:
        done = ended(submit)
        assert done.returncode == 0, done.stderr
    return made


def contents(folder: Path) -> dict[str, bytes]:
    """Its files; two that SQLite makes for whoever reads are none of the batch's."""
    files = (path for path in folder.rglob("*") if path.is_file())
    passing = ("-shm", "-wal")
    return {str(path): path.read_bytes() for path in files if not path.name.endswith(passing)}


def typed(place: Workplace, commands: str, *flags: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(COORDINATOR), "run-one", "b", ITEM, *flags],
        cwd=place.folder,
        env=environment(place.folder),
        input=commands,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def edited(place: Workplace, name: str, body: str) -> str:
    """A copy of the model whose `not_at_all` does something else."""
    folder = place.folder / name
    shutil.copytree(place.model, folder, ignore=shutil.ignore_patterns("door"))
    path = folder / "handler.py"
    path.write_text(path.read_text().replace("        pass\n", f"        {body}\n"))
    return name


def test_an_item_runs_again_and_its_batch_is_untouched(place: Workplace) -> None:
    before = contents(place.batch("b").state) | contents(place.batch("b").output)
    done = typed(place, "", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)["run_one"]
    assert document["outcome"]["status"] == "succeeded"
    (file,) = map(Path, document["files"])
    assert json.loads(file.read_text())["translation"] == SENTENCE.upper()
    assert file.is_relative_to(place.folder / "run-one" / "b" / f"{ITEM}-translate-1")
    assert (Path(document["folder"]) / "log").read_text()
    assert contents(place.batch("b").state) | contents(place.batch("b").output) == before
    again = json.loads(typed(place, "", "--json").stdout)["run_one"]
    assert again["folder"] != document["folder"]


def test_a_breakpoint_in_the_handler_opens_pdb(place: Workplace) -> None:
    model = edited(place, "with-breakpoint", "breakpoint()")
    done = typed(place, "up\np sentences\nc\n", "--pdb", "--model", model)
    assert repr([SENTENCE]) in done.stdout
    assert done.returncode == 0 and f"{ITEM}: succeeded" in done.stdout


def test_what_was_prepared_runs_again_under_any_debugger(place: Workplace) -> None:
    said = typed(place, "").stdout.splitlines()[-1]
    command = shlex.split(said.partition("debugger: ")[2])
    assert Path(command[0]).parent.resolve() == Path(sys.executable).parent.resolve()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "item done" in done.stderr


def test_a_breakpoint_that_was_forgotten_fails_the_item_and_hangs_nothing(
    place: Workplace,
) -> None:
    done = typed(place, "", "--model", edited(place, "forgotten", "breakpoint()"))
    assert done.returncode == 1
    assert "failed, model_error" in done.stdout and "BdbQuit" in done.stdout


def test_leaving_pdb_ends_the_run_and_says_so(place: Workplace) -> None:
    model = edited(place, "left", "breakpoint()")
    done = typed(place, "q\n", "--pdb", "--model", model)
    assert done.returncode == 1
    assert "the debugger was left before the item was done" in done.stdout


def test_pdb_opens_where_the_handler_raises(place: Workplace) -> None:
    model = edited(place, "raises", "raise KeyError(sentence)")
    done = typed(place, "p 'at ' + sentence\n", "--pdb", "--model", model)
    assert f"'at {SENTENCE}'" in done.stdout
    assert done.returncode == 1 and "KeyError" in done.stdout


def test_a_failure_is_shown_without_pdb(place: Workplace) -> None:
    model = edited(place, "fails", "raise KeyError(sentence)")
    done = typed(place, "", "--model", model)
    assert done.returncode == 1
    assert f"{ITEM}: failed, model_error" in done.stdout and "raise KeyError" in done.stdout


def test_a_model_that_is_not_here_is_asked_for(place: Workplace) -> None:
    os.rename(place.model, place.folder / "elsewhere")
    try:
        done = typed(place, "")
    finally:
        os.rename(place.folder / "elsewhere", place.model)
    assert done.returncode == 2
    assert "is not on this machine" in done.stderr and "--model FOLDER" in done.stderr
