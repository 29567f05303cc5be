"""TensorBoard over a batch: which curves it shows, while the batch runs and after."""

import functools
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import batches
from tests.acceptance.batches import Workplace, ended, running

pytestmark = [pytest.mark.needs_data, pytest.mark.timeout(600)]

# Processes that import much, several at a time: on a busy machine they take a while to start.
wait_until = functools.partial(batches.wait_until, seconds=180)

RUNNING, COMPLETED, FAILED = "deu-fra", "fra-deu", "deu-rus"
HANDLER = '''
"""Draws a curve for each item; one goes on for as long as it is held, and one fails."""

import os
import time
from pathlib import Path

from tensorboardX import SummaryWriter


class Handler:
    def load(self, model_dir, device):
        self.hold = model_dir / "hold"

    def translate(self, sentences, source_language, target_language):
        direction = f"{source_language}-{target_language}"
        with SummaryWriter(os.environ["COORDINATOR_TENSORBOARD_DIR"], flush_secs=1) as writer:
            for step in range(10):
                writer.add_scalar(f"loss/{direction}", 1 / (step + 1), step)
            while direction == "deu-fra" and self.hold.exists():
                step += 1
                writer.add_scalar(f"loss/{direction}", 1 / (step + 1), step)
                writer.flush()
                time.sleep(0.2)
        if direction == "deu-rus":
            raise RuntimeError("on purpose")
        return sentences
'''


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("curves") / "work"
    place = Workplace.made(folder, ["deu", "fra", "rus"], 5, pack=1, score_pack=1)
    (place.model / "handler.py").write_text(HANDLER)
    known = {path.stem for path in (folder / "items").rglob("*.json")}
    wanted = [next(i for i in known if i.endswith(d)) for d in (RUNNING, COMPLETED, FAILED)]
    (folder / "three.txt").write_text("".join(f"{item}\n" for item in wanted))
    return place


def item(place: Workplace, direction: str) -> str:
    lines = (place.folder / "three.txt").read_text().splitlines()
    return next(line for line in lines if line.endswith(direction))


@pytest.fixture(scope="module")
def live(place: Workplace) -> Iterator[subprocess.Popen[str]]:
    """A batch of three: one item runs on until it is let go, one is completed, one has failed."""
    (place.model / "hold").touch()
    flags = place.submit_flags("live", "--item_list", "three.txt", "--slots", 3)
    flags += ["--monitoring_interval_seconds", "0.5"]
    with running(place.start("submit", *flags)) as process:
        batch = place.batch("live")
        wait_until(lambda: batch.exists and batch.count("items WHERE state = 'succeeded'") == 1)
        wait_until(lambda: batch.count("items WHERE state = 'failed'") == 1)
        yield process
        process.send_signal(signal.SIGTERM)
    place.run("stop", "live", "--now")


@pytest.fixture
def done(place: Workplace, live: subprocess.Popen[str]) -> None:
    """The same batch when all have ended."""
    (place.model / "hold").unlink(missing_ok=True)
    assert live.wait(180) == 1


def asked(url: str, path: str) -> Any:
    """What TensorBoard's HTTP API answers."""
    try:
        with urllib.request.urlopen(f"{url}{path}", timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError:
        return None


def runs(url: str) -> set[str]:
    return set(asked(url, "data/runs") or ())


def scalars(url: str, run: str, tag: str) -> list[float]:
    """The values of a curve in order; none where there is no such curve."""
    query = urllib.parse.urlencode({"run": run, "tag": tag})
    return [value for _, _, value in asked(url, f"data/plugin/scalars/scalars?{query}") or ()]


def is_gone(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except OSError:
        return True
    return False


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return str(json.loads(process.stdout.readline())["tensorboard"]["url"])


def test_curves_of_running_and_completed_items_are_shown_and_of_failed_ones_not(
    place: Workplace, live: subprocess.Popen[str]
) -> None:
    running_item, completed = item(place, RUNNING), item(place, COMPLETED)
    usual = ["--batch", "live", "--port", 0, "--json"]
    only = [*usual, "--filters", "running", "--logdir", "only"]
    with (
        running(place.start("tensorboard", *usual)) as board,
        running(place.start("tensorboard", *only)) as other,
    ):
        url, url_of_other = url_of(board), url_of(other)
        wait_until(lambda: {running_item, completed, "Diagnostics"} == runs(url))
        wait_until(lambda: {running_item, "Diagnostics"} == runs(url_of_other))
        tags = asked(url, "data/plugin/scalars/tags")
        assert set(tags[running_item]) == {f"loss/{RUNNING}"}
        assert set(tags[completed]) == {f"loss/{COMPLETED}"}
        drawn = [1 / n for n in range(1, 11)]
        assert scalars(url, completed, f"loss/{COMPLETED}") == pytest.approx(drawn)
        wait_until(lambda: len(scalars(url, running_item, f"loss/{RUNNING}")) >= 10)
        shown = len(scalars(url, running_item, f"loss/{RUNNING}"))
        wait_until(lambda: len(scalars(url, running_item, f"loss/{RUNNING}")) > shown + 5)
        assert any(tag.startswith("cores/translate/") for tag in tags["Diagnostics"])

        (place.model / "hold").unlink()
        assert live.wait(180) == 1
        wait_until(lambda: runs(url_of_other) == {"Diagnostics"})  # nothing runs any more
        assert runs(url) == {running_item, completed, "Diagnostics"}
        board.send_signal(signal.SIGINT)
        other.send_signal(signal.SIGTERM)
        ended(board)
        ended(other)
    assert board.returncode == 130
    for address in (url, url_of_other):
        wait_until(lambda address=address: is_gone(address))  # type: ignore[misc]


def test_failed_items_are_there_when_they_are_asked_for(place: Workplace, done: None) -> None:
    failed = item(place, FAILED)
    told = place.run("tensorboard", "live", "--filters", "Failed", "--no-serve", "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["tensorboard"]["runs"] == [failed]
    folder = place.folder / "local-tensorboard" / "live"
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {failed, "Diagnostics"}
    again = place.run(
        "tensorboard", "live", "--items", item(place, COMPLETED), "--no-serve", "--json"
    )
    assert json.loads(again.stdout)["tensorboard"]["runs"] == [item(place, COMPLETED)]
    none = place.run("tensorboard", "live", "--filters", "Canceled", "--no-serve", "--logdir", "no")
    assert none.stdout.startswith("0 runs, what") and none.stdout.count("0 runs") == 1
    assert "0 runs" not in none.stderr
    unknown = place.run("tensorboard", "live", "--items", "../../etc", "--no-serve")
    assert unknown.returncode == 2
    assert "no item '../../etc'" in unknown.stderr


def test_a_folder_of_other_things_is_left_alone(
    place: Workplace, done: None, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    told = place.run("tensorboard", "live", "--no-serve", "--logdir", tmp_path)
    assert told.returncode == 2
    assert "it holds files that are not of curves" in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_it_starts_with_a_batch_and_ends_with_it(place: Workplace) -> None:
    flags = place.submit_flags("beside", "--item_list", "three.txt", "--slots", 3)
    (place.model / "hold").touch()
    with running(place.start("submit", *flags, "--tensorboard", "--tensorboard_port", 0)) as submit:
        assert submit.stderr
        url = next(line.split()[1] for line in submit.stderr if line.startswith("TensorBoard"))
        wait_until(lambda: {item(place, RUNNING), item(place, COMPLETED)} == runs(url))
        (place.model / "hold").unlink()
        assert submit.wait(180) == 1
    assert is_gone(url)


def test_without_the_library_it_says_how_to_get_it(place: Workplace) -> None:
    hidden = (
        "import sys, importlib.util as u; find = u.find_spec;"
        " u.find_spec = lambda n, *a: None if n == 'tensorboard' else find(n, *a);"
        " from coordinator.cli import main; sys.exit(main(['tensorboard', 'live']))"
    )
    told = subprocess.run(
        [sys.executable, "-c", hidden], cwd=place.folder, capture_output=True, text=True
    )
    assert told.returncode == 2
    assert "pip install 'coordinator[tensorboard]'" in told.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--filters", "Done"], "one or more of Queued, Running, Completed, Failed, Canceled"),
        (["--filters", ","], "it names no state"),
        (["--host", "203.0.113.7"], "cannot listen on 203.0.113.7:6006"),
        (["--host", "127.0.0..1"], "cannot listen on 127.0.0..1:6006"),
    ],
)
def test_what_cannot_be_meant_is_said(place: Workplace, flags: list[str], words: str) -> None:
    told = place.run("tensorboard", "live", *flags)
    assert told.returncode == 2
    assert words in told.stderr
