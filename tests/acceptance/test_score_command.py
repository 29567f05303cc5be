"""`coordinator score`: scores from stored predictions, exact, in any order, through any kill."""

import csv
import fcntl
import functools
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import permutations
from pathlib import Path

import pandas as pd
import pytest
import sentencepiece
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from benchmarks.predictions import Corpus, write
from tests.support import REPOSITORY

LANGUAGES = "deu eng-US fra fra-CA hin jpn rus srp-Cyrl tam zho-CN".split()  # noqa: SIM905
SENTENCES = 50
KILLS, SOAK_KILLS = 5, 20

pytestmark = [pytest.mark.needs_data, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def track(test_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety directions: `predictions`, `references`, and the tokenizer `spm.model`."""
    folder = tmp_path_factory.mktemp("track")
    (folder / "references").mkdir()
    for language in LANGUAGES:
        lines = (test_data("ntrex101") / f"{language}.txt").read_text("utf-8").split("\n")
        text = "".join(f"{line}\n" for line in lines[:SENTENCES])
        (folder / f"references/{language}.txt").write_text(text, "utf-8")
    corpus = Corpus(folder / "references", SENTENCES)
    write(corpus, list(permutations(LANGUAGES, 2)), folder / "predictions")
    (folder / "spm.model").symlink_to(test_data("spm/unigram256k.model"))
    return folder


@pytest.fixture(scope="module")
def scored(track: Path) -> Path:
    """The output of a run on two processes that nothing disturbed."""
    assert run(track, track / "scores", processes=2).returncode == 0
    return track / "scores"


def command(track: Path, output: Path, processes: int, *more: object) -> list[str]:
    flags: dict[str, object] = {
        "predictions": track / "predictions",
        "references": track / "references",
        "metrics": "spbleu,chrf++",
        "model": track / "spm.model",
        "output": output,
        "processes": processes,
    }
    words = [str(word) for name, value in flags.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "coordinator", "score", *words, *map(str, more)]


def run(
    track: Path, output: Path, *more: object, processes: int = 1
) -> subprocess.CompletedProcess[str]:
    return start(command(track, output, processes, *more), track)


def start(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=folder,
        env=bare(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )


def bare(folder: Path) -> dict[str, str]:
    """An environment without a home, settings or a cluster."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder / "nowhere"), "PYTHONPATH": PYTHONPATH}


PYTHONPATH = str(REPOSITORY)


def contents(output: Path) -> dict[str, str]:
    """Every file that a run leaves for others, by its hash."""
    files = [p for p in output.rglob("*") if p.is_file() and ".prepared" not in p.parts]
    return {
        str(p.relative_to(output)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
        if p.name != ".lock"
    }


def lines(path: Path) -> list[str]:
    return [line.rstrip() for line in path.read_text("utf-8").removesuffix("\n").split("\n")]


def scores_of(output: Path) -> dict[str, dict[str, str]]:
    with (output / "summary/scores.csv").open(newline="", encoding="utf-8") as stream:
        return {row.pop("item"): row for row in csv.DictReader(stream)}


def test_ninety_directions_equal_sacrebleu(track: Path, scored: Path) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(track / "spm.model"))

    @functools.cache
    def cut(line: str) -> str:
        return " ".join(pieces.EncodeAsPieces(line))

    found = scores_of(scored)
    assert len(found) == 91
    bleu, chrf = BLEU(tokenize="none", force=True), CHRF(word_order=2)
    for source, target in permutations(LANGUAGES, 2):
        texts = lines(track / f"predictions/{source}-{target}.txt")
        references = lines(track / f"references/{target}.txt")
        cut_texts, cut_references = list(map(cut, texts)), list(map(cut, references))
        row = found[f"{source}-{target}"]
        assert float(row["spbleu"]) == bleu.corpus_score(cut_texts, [cut_references]).score
        assert float(row["chrf++"]) == chrf.corpus_score(texts, [references]).score


def test_same_bytes_with_one_process_and_again(track: Path, scored: Path) -> None:
    before = contents(scored)
    assert len([name for name in before if name.endswith("/scores.json")]) == 90
    assert run(track, track / "one", processes=1).returncode == 0
    assert contents(track / "one") == before
    again = run(track, scored, "--json", processes=2)
    assert json.loads(again.stdout)["scoring"]["scored_before"] == 90
    assert contents(scored) == before


def test_same_bytes_through_kills(track: Path, scored: Path) -> None:
    output = track / "killed"
    kill_at_random(track, output, KILLS, seed=6)
    done = run(track, output, "--json", processes=2)
    assert done.returncode == 0, done.stderr
    assert 0 < json.loads(done.stdout)["scoring"]["scored_before"] < 90
    assert contents(output) == contents(scored)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_same_bytes_through_kills_on_the_full_track(
    test_data: Callable[[str], Path], tmp_path: Path, say: Callable[[str], None]
) -> None:
    corpus = Corpus(test_data("ntrex101"))
    write(corpus, corpus.directions, tmp_path / "predictions")
    (tmp_path / "references").symlink_to(test_data("ntrex101"))
    (tmp_path / "spm.model").symlink_to(test_data("spm/unigram256k.model"))
    say(f"{len(corpus.directions):,} directions are written")
    began = time.monotonic()
    assert run(tmp_path, tmp_path / "scores", processes=2).returncode == 0
    say(f"scored in {time.monotonic() - began:.0f} s on 2 processes; now with kills")
    kill_at_random(tmp_path, tmp_path / "killed", SOAK_KILLS, seed=20)
    assert run(tmp_path, tmp_path / "killed", processes=2).returncode == 0
    wanted = contents(tmp_path / "scores")
    assert len(wanted) > 2 * len(corpus.directions)
    assert contents(tmp_path / "killed") == wanted


def kill_at_random(track: Path, output: Path, kills: int, seed: int) -> None:
    """Each time when some more directions are done: the scorer alone, or its processes too."""
    rng = random.Random(seed)
    half = len(list((track / "predictions").iterdir())) // 2  # so that it is never done by then
    for number in range(1, kills + 1):
        goal = rng.randrange(half * (number - 1) // kills, half * number // kills)
        process = subprocess.Popen(
            command(track, output, 2),
            cwd=track,
            env=bare(track),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and done_in(output) < goal:
            time.sleep(0.002)
        time.sleep(rng.random() / 100)  # somewhere in the middle of a direction
        assert process.poll() is None, "it was done before it could be killed"
        send = os.killpg if rng.random() < 0.5 else os.kill
        send(process.pid, signal.SIGKILL)
        process.wait()


def done_in(output: Path) -> int:
    """Directions that are done, or nearly."""
    folder = output / "items"
    return len(os.listdir(folder)) if folder.exists() else 0


def test_one_process_that_is_killed_is_made_good(track: Path, scored: Path) -> None:
    output = track / "one-died"
    process = subprocess.Popen(
        command(track, output, 2), cwd=track, env=bare(track), stdout=subprocess.DEVNULL
    )
    while done_in(output) < 10:
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(scoring_processes(process.pid)[0], signal.SIGKILL)
    assert process.wait(60) == 0
    assert contents(output) == contents(scored)


def scoring_processes(parent: int) -> list[int]:
    """The children of a scorer that score, and not what Python keeps beside them."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(c) for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]


def test_an_interrupt_is_answered_and_the_same_command_goes_on(track: Path, scored: Path) -> None:
    output = track / "interrupted"
    process = subprocess.Popen(
        command(track, output, 2),
        cwd=track,
        env=bare(track),
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    while done_in(output) < 5:
        assert process.poll() is None
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert not (output / "summary").exists()
    assert run(track, output, processes=2).returncode == 0
    assert contents(output) == contents(scored)


def test_matrix_and_averages_open_in_pandas(scored: Path) -> None:
    rows = scores_of(scored)
    matrix = pd.read_csv(scored / "summary/matrix-spbleu.csv", index_col=0)
    assert matrix.shape == (10, 10)
    assert matrix.isna().sum().sum() == 10  # from a language to itself
    assert matrix.loc["srp-Cyrl", "zho-CN"] == float(rows["srp-Cyrl-zho-CN"]["spbleu"])
    averages = pd.read_csv(scored / "summary/averages.csv", keep_default_na=False)
    into = averages[(averages.way == "into") & (averages.metric == "chrf++")]
    by_group = into.set_index(["by", "group"])["average"].astype(float)
    hindi = [float(row["chrf++"]) for item, row in rows.items() if item.endswith("-hin")]
    assert by_group["language", "hin"] == pytest.approx(sum(hindi) / 9, rel=1e-12)
    assert by_group["script", "Deva"] == by_group["language", "hin"]
    assert set(by_group["family"].index) >= {"Indo-European", "Dravidian", "Sino-Tibetan"}


# what is missing or wrong; small, with a metric that needs no file


@pytest.fixture
def small(tmp_path: Path) -> Path:
    for folder in ("predictions", "references"):
        (tmp_path / folder).mkdir()
    for language in ("deu", "eng", "fra"):
        put(tmp_path / f"references/{language}.txt", [f"{language} one two", "three four five six"])
    for pair in ("deu-eng", "eng-deu", "fra-eng"):
        put(tmp_path / f"predictions/{pair}.txt", ["one two", "three four five six"])
    return tmp_path


def put(path: Path, texts: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{text}\n" for text in texts), "utf-8")


def score(folder: Path, *more: str) -> tuple[int, Mapping[str, object], str]:
    """Exit code, the JSON result, and what was said."""
    words = "score --predictions predictions --references references --metrics bleu --json"
    done = start([sys.executable, "-m", "coordinator", *words.split(), *more], folder)
    document = json.loads(done.stdout)
    return done.returncode, document.get("scoring") or document["error"], done.stderr


def problems_of(document: Mapping[str, object]) -> dict[str, str]:
    problems = document["problems"]
    assert isinstance(problems, list)
    return {problem["where"]: problem["reason"] for problem in problems}


def test_every_problem_is_named_and_stops_no_other(small: Path) -> None:
    put(small / "predictions/fra-deu.txt", ["one line"])
    (small / "predictions/deu-fra.txt").write_bytes(b"\xff\n\n")
    put(small / "predictions/deu-kor.txt", ["a", "b"])
    (small / "predictions/eng-fra").mkdir()
    put(small / "predictions/=cmd|'!A1.txt", ["a", "b"])
    put(small / "predictions/\x1b[31mred-eng.txt", ["a", "b"])
    (small / "predictions/eng-eng.txt").symlink_to("/etc/passwd")
    os.mkfifo(small / "predictions/kor-eng.txt")
    (small / "predictions/kor-deu").mkdir()
    os.mkfifo(small / "predictions/kor-deu/translations.jsonl")
    code, found, _ = score(small)
    assert code == 1
    assert (found["scored"], found["expected"]) == (3, 10)
    problems = problems_of(found)
    assert "1 translations for 2 reference sentences" in problems["fra-deu"]
    assert "line 1 is not UTF-8" in problems["deu-fra"]
    assert "reference" in problems["deu-kor"]
    assert "translations.jsonl" in problems["eng-fra"]
    assert "no plain file" in problems["kor-deu"]
    assert len(problems) == 7
    table = (small / "scores/summary/problems.csv").read_text("utf-8")
    assert "\x1b" not in table
    assert "\"'=cmd" in table
    assert "incomplete (3 of 10)" in (small / "scores/summary/scores.csv").read_text()


def test_a_direction_that_is_expected_and_missing(small: Path) -> None:
    code, found, _ = score(small, "--all-pairs")
    assert code == 1
    assert found["averages"] == {"bleu": {"average": None, "scored": 3, "expected": 6}}
    groups = json.loads((small / "scores/summary/averages.json").read_bytes())["averages"]
    into = {g["group"]: g["average"] for g in groups if (g["way"], g["by"]) == ("into", "language")}
    assert into["eng"] is not None  # both directions into it are there
    assert into["deu"] is None
    assert into["fra"] is None
    (small / "expected.txt").write_text("deu-eng\neng-deu\n")
    code, found, _ = score(small, "--expected", "expected.txt")
    assert (code, found["scored"], found["scored_before"]) == (0, 2, 2)


def test_other_inputs_are_scored_again(small: Path) -> None:
    assert score(small)[0] == 0
    put(small / "predictions/deu-eng.txt", ["eng one two", "three four five six"])
    damage = small / "scores/items/eng-deu/statistics.json"
    damage.write_bytes(damage.read_bytes()[:-9])
    kept = contents(small / "scores")
    code, found, _ = score(small)
    assert (code, found["scored_before"]) == (0, 1)
    assert contents(small / "scores") != kept
    shutil.rmtree(small / "scores")
    afresh = score(small)[1]
    assert afresh["averages"] == found["averages"]


def test_two_at_a_time_do_not_write_to_one_folder(small: Path) -> None:
    (small / "scores").mkdir()
    with (small / "scores/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, found, _ = score(small)
    assert code == 2
    assert "another scoring writes to" in str(found["message"])


def test_layout_of_a_batch_and_several_references(small: Path) -> None:
    item = small / "predictions/items/demo-devtest-deu-eng"
    item.mkdir(parents=True)
    texts = [{"line": 1, "translation": "uno"}, {"line": 2, "translation": "three four five six"}]
    (item / "translations.jsonl").write_text("".join(f"{json.dumps(text)}\n" for text in texts))
    put(small / "references/eng.1.txt", ["uno", "something else"])
    code, found, _ = score(small, "--output", "two")
    assert (code, found["scored"]) == (0, 1)
    scores = json.loads((small / "two/items/demo-devtest-deu-eng/scores.json").read_bytes())
    assert (scores["source_language"], scores["target_language"]) == ("deu", "eng")
    assert scores["references"] == 2
    hypotheses = [text["translation"] for text in texts]
    both = [["eng one two", "three four five six"], ["uno", "something else"]]
    oracle = BLEU()
    assert scores["metrics"]["bleu"]["score"] == oracle.corpus_score(hypotheses, both).score
    assert scores["metrics"]["bleu"]["signature"] == str(oracle.get_signature())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--metrics", "spbleu"], "needs a SentencePiece file"),
        (["--metrics", "blue"], "unknown metric"),
        (["--metrics", "bleu", "--model", "x.model"], "--model is for spbleu"),
        (["--metrics", "spbleu", "--model", "no.model"], "no.model cannot be read"),
        (["--expected", "x", "--all-pairs"], "each say what is expected"),
        (["--references", "predictions/none"], "cannot be read"),
        (["--languages", "references/eng.txt"], "table of languages"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(small: Path, flags: list[str], words: str) -> None:
    meant = {"--predictions": "predictions", "--references": "references", "--processes": "1"}
    meant.pop(flags[0], None)
    start_words = [word for pair in meant.items() for word in pair]
    done = start([sys.executable, "-m", "coordinator", "score", *start_words, *flags], small)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
