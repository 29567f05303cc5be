"""`coordinator score --registry FILE --task NAME`: tasks of any kind, from files alone."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.cli import main
from coordinator.metrics import read_scores
from tests.support import REPOSITORY

SHIPPED = REPOSITORY / "inputs"
OWN = """
from coordinator.metrics import TextMetric

class Broken(TextMetric):
    def counts(self, hypothesis, references):
        return [len(hypothesis) // (len(hypothesis) - 3)]

    def score_of_sum(self, row):
        return row[0]
"""
REGISTRY = """
datasets:
  words: {format: text, reference: words}
tasks:
  broken: {datasets: words, metrics: [chrf, {class: "broken:Broken"}]}
"""


def score(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "coordinator", "score", "--processes", "1", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100
    )


def task(folder: Path, name: str, *more: object) -> subprocess.CompletedProcess[str]:
    predictions = SHIPPED / "tasks" / "predictions"
    words = ("--registry", SHIPPED / "tasks.yml", "--task", name, "--predictions", predictions)
    return score(folder, *words, *more)


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "scores" / "summary" / name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_texts_and_a_metric_of_ones_own(tmp_path: Path) -> None:
    done = task(tmp_path, "phrasebook", "--json")
    assert done.returncode == 0, done.stderr
    averages = json.loads(done.stdout)["scoring"]["averages"]
    assert averages["ExactMatch"] == {"average": 70.0, "scored": 2, "expected": 2}
    assert [row["ExactMatch"] for row in rows(tmp_path, "scores.csv")][:2] == ["60.0", "80.0"]
    path = tmp_path / "scores" / "items" / "phrases.fra-eng" / "scores.json"
    found = read_scores(path.read_bytes())
    assert (found.source_language, found.target_language) == ("fra", "eng")
    assert (found.references, found.sentences) == (2, 5)
    assert found.suspicious is not None and found.suspicious.copied == 0  # it had the sources


def test_labels(tmp_path: Path) -> None:
    done = task(tmp_path, "topics")
    assert done.returncode == 0, done.stderr
    assert "accuracy   0.75" in done.stdout and "suspicious" not in done.stdout
    by_tag = {(row["metric"], row["tag"]): row for row in rows(tmp_path, "tags.csv")}
    assert by_tag["accuracy", "town"]["score"] == str(2 / 3)
    again = task(tmp_path, "topics")
    assert "1 of 1 direction scored, 1 of them before" in again.stdout


def test_predictions_that_are_missing(tmp_path: Path) -> None:
    done = task(tmp_path, "translation")
    assert done.returncode == 1
    assert "incomplete (2 of 3)" in done.stdout
    assert "not scored: village: no predictions (put village.txt there)" in done.stdout


def test_a_metric_that_fails_is_told_by_class_and_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(OWN)
    (tmp_path / "tasks.yml").write_text(REGISTRY)
    (tmp_path / "words").write_text("one\ntwo\n")
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "words.txt").write_text("four\none\n")
    words = ("--registry", "tasks.yml", "--task", "broken", "--predictions", "predictions")
    done = score(tmp_path, *words)
    assert done.returncode == 1
    said = "the metric broken:Broken failed in statistics: ZeroDivisionError: "
    assert said in done.stdout and "broken.py:6)" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--task", "topics"], "--task and --registry go together"),
        (["--registry", "tasks.yml"], "--task and --registry go together"),
        (
            ["--registry", "tasks.yml", "--task", "topics", "--metrics", "bleu", "--all-pairs"],
            "--task with --metrics, --all-pairs",
        ),
        (["--registry", str(SHIPPED / "tasks.yml"), "--task", "topic"], "did you mean topics?"),
        (["--registry", "gone.yml", "--task", "topics"], "gone.yml cannot be read"),
        ([], "nothing to compare with"),
    ],
)
def test_flags_that_cannot_be_meant(
    flags: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    predictions = str(SHIPPED / "tasks" / "predictions")
    assert main(["score", "--predictions", predictions, *flags]) == 2
    assert said in capfd.readouterr().err
    assert not list(tmp_path.iterdir())
