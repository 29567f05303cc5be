"""Quick tries: a whole pipeline on little of everything, and canaries before the rest."""

import csv
import json
import time
from typing import Any

import pytest

from tests.acceptance.batches import Workplace, assert_whole

pytestmark = [pytest.mark.needs_data, pytest.mark.timeout(300)]

WORDS = (
    "limited: the first 3 items; the first 4, 1, 2 sentences (dev, devtest, test) of each text;"
    " the tiny model, a stand-in that translates nothing"
)
FEW = ("--item_list", "few.txt")  # of which the model is asked in this order
LISTED = ["text-dev-deu-fra", "text-dev-fra-deu", "text-dev-rus-deu"]
CUT = ("--limit_items", 3, "--limit_sentences", "4,1,2")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("smoke") / "work"
    place = Workplace.made(folder, ["deu", "fra", "rus"], 7, pack=2)
    (folder / "few.txt").write_text("".join(f"{item}\n" for item in LISTED))
    return place


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    workplace.set_model()
    workplace.witness.unlink(missing_ok=True)
    return workplace


def without_model(place: Workplace, batch: str) -> list[str]:
    flags = place.submit_flags(batch)
    del flags[flags.index("--model") : flags.index("--model") + 2]
    return flags


def table(place: Workplace, batch: str, name: str) -> list[dict[str, str]]:
    with (place.folder / "local-reports" / batch / name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_whole_pipeline_runs_at_once_and_all_that_it_leaves_says_limited(
    place: Workplace,
) -> None:
    began = time.monotonic()
    done = place.run("submit", *without_model(place, "tiny"), *CUT, "--tiny_model")
    assert (done.returncode, time.monotonic() - began < 120) == (0, True), done.stderr
    assert "limited    the first 3 items" in done.stderr
    assert f"tiny  3 items  =  3 succeeded\n  {WORDS}\n" in done.stdout
    batch = place.batch("tiny")
    assert_whole(batch)
    record = json.loads(batch.read("batch.json"))
    assert (record["limited"], record["model"]) == (WORDS, "tiny-model")
    for item, scores in batch.scores().items():
        found = json.loads(scores)
        assert (found["sentences"], found["limited"]) == (4, WORDS)
        lines = batch.read(f"items/{item}/translations.jsonl").decode().splitlines()
        said = [json.loads(line)["translation"] for line in lines]
        assert len(said) == 4
        assert all(text.startswith("[tiny model, no translation] ") for text in said)
    assert {o["facts"]["limited"] for o in batch.outcomes()} == {WORDS}
    assert not place.witnessed()


def test_its_report_says_limited_in_every_table(place: Workplace) -> None:
    assert place.run("submit", *place.submit_flags("cut"), *CUT).returncode == 0
    words = WORDS.rpartition(";")[0]
    done = place.run("report", "cut")
    assert done.returncode == 0 and f"! {words}" in " ".join(done.stdout.split())
    folder = place.folder / "local-reports" / "cut"
    assert json.loads((folder / "summary.json").read_text())["limited"] == words
    names = sorted(path.name for path in folder.glob("*.csv"))
    assert {"scores.csv", "summary.csv", "averages.csv", "matrix-bleu.csv"} <= set(names)
    for name in names:
        assert {row["limited"] for row in table(place, "cut", name)} == {words}, name
    (place.folder / "local-logs" / "cut" / "batch.json").unlink()
    again = place.run("report", "cut", "--json")
    assert json.loads(again.stdout)["report"]["limited"] == words, "the outcomes say so too"


def test_scores_of_cut_texts_are_those_of_texts_that_are_that_short(
    place: Workplace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    short = Workplace.made(tmp_path_factory.mktemp("short") / "work", ["deu", "fra"], 4)
    for where, flags in ((place, [*CUT, *FEW]), (short, [])):
        assert where.run("submit", *where.submit_flags("same"), *flags).returncode == 0
    cut, whole = place.batch("same").scores(), short.batch("same").scores()
    del cut["text-dev-rus-deu"]
    assert len(cut) == 2

    def told(scores: bytes) -> dict[str, Any]:
        found = json.loads(scores)
        return {name: value for name, value in found.items() if name != "limited"}

    assert {item: told(scores) for item, scores in cut.items()} == {
        item: told(scores) for item, scores in whole.items()
    }
    assert all("limited" not in json.loads(scores) for scores in whole.values())


def test_a_comparison_says_what_is_limited(place: Workplace) -> None:
    flags = (*FEW, "--limit_sentences", 2)
    assert place.run("submit", *place.submit_flags("little"), *flags).returncode == 0
    assert place.run("submit", *place.submit_flags("much"), *FEW).returncode == 0
    done = place.run("compare", "little", "much")
    assert done.returncode == 0
    assert "! little is limited: the first 2 sentences of each text" in done.stdout
    assert "! not the same was left out of both" in done.stdout
    assert "limited" not in place.run("compare", "much", "much").stdout


def test_who_resumes_cannot_change_what_is_left_out(place: Workplace) -> None:
    assert place.run("submit", *place.submit_flags("fixed"), *CUT).returncode == 0
    resumed = ("submit", "--batch_name", "fixed", "--resume")
    refused = place.run(*resumed, "--limit_sentences", 5, "--tiny_model")
    assert refused.returncode == 2
    assert "the batch has --limit_sentences 4,1,2" in refused.stderr
    assert "--tiny_model" in refused.stderr
    assert place.run(*resumed, "--limit_sentences", "4,1,2").returncode == 0


@pytest.mark.parametrize("text", ["0", "4,1", "many"])
def test_other_numbers_of_sentences_are_refused(place: Workplace, text: str) -> None:
    done = place.run("submit", *place.submit_flags("no"), "--limit_sentences", text)
    assert done.returncode == 2
    assert f"--limit_sentences {text} cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failed_canary_halts_the_batch_and_says_how_to_go_on(place: Workplace) -> None:
    place.set_model(faults=["fra deu"])
    flags = (*FEW, "--canary", 2, "--slots", 2)
    done = place.run("submit", *place.submit_flags("halted"), *flags)
    assert done.returncode == 3
    batch = place.batch("halted")
    first, second = batch.items[:2]
    assert "canary     the first 2 items must succeed" in done.stderr
    assert f"canary: 1 of the first 2 items did not succeed, so no other is started ({second}" in (
        " ".join(done.stdout.split())
    )
    assert "1 waiting" in done.stdout and "Go on with" not in done.stdout
    calls = place.witnessed()  # what fails is asked for again in parts, to find its line
    assert calls.keys() == {"deu fra", "fra deu"} and calls["deu fra"] == 1
    assert "canary: 1 of the first 2" in " ".join(place.run("status", "halted").stdout.split())
    assert place.resume("halted").returncode == 3
    assert place.witnessed() == calls
    place.set_model()
    assert place.run("resubmit", "halted").returncode == 0
    assert {row["state"] for row in batch.rows("SELECT state FROM items")} == {"succeeded"}
    assert place.witnessed()[batch.directions()[first]] == 1


def test_a_batch_goes_on_without_canaries_if_told_so(place: Workplace) -> None:
    place.set_model(faults=["deu fra"])
    assert place.run("submit", *place.submit_flags("lifted"), *FEW, "--canary", 1).returncode == 3
    on = place.run("submit", "--batch_name", "lifted", "--resume", "--canary", 0)
    assert on.returncode == 1
    assert "lifted  3 items  =  2 succeeded  1 failed" in on.stdout


def test_good_canaries_let_the_rest_go(place: Workplace) -> None:
    done = place.run("submit", *place.submit_flags("good"), *FEW, "--canary", 1)
    assert done.returncode == 0, done.stdout
    batch = place.batch("good")
    assert_whole(batch)
    claims = batch.rows("SELECT id FROM events WHERE action = 'claimed' ORDER BY id")
    [scored] = batch.rows(
        "SELECT min(e.id) AS id FROM events e JOIN attempts a ON a.id = e.attempt"
        " WHERE a.item = 0 AND a.step = 1 AND e.new = 'succeeded'"
    )
    assert [row["id"] < scored["id"] for row in claims[:3]] == [True, True, False]
