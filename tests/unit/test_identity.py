"""Scores of real text are sacrebleu's to the last bit. (All directions: benchmarks/identity.py.)"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from oracle import model_file, put_models, scorer
from predictions import Corpus
from sacrebleu.tokenizers import tokenizer_spm

from coordinator.metrics import Metric, load_metric, parse_metrics
from tests.support import REPOSITORY, data_root

DIRECTIONS, SENTENCES = 200, 40
COMMAND = REPOSITORY / "benchmarks" / "identity.py"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus(data_root() / "ntrex101", SENTENCES, seed=2)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """sacrebleu's folder, with the models in it that it would download."""
    before = tokenizer_spm.SACREBLEU_DIR
    folder = tmp_path_factory.mktemp("sacrebleu")
    put_models(folder, data_root())
    yield folder
    tokenizer_spm.SACREBLEU_DIR = before


def ours(name: str, model: str) -> Metric:
    entry = {"name": name} | ({"model": str(model_file(data_root(), model))} if model else {})
    return load_metric(parse_metrics([entry])[0])


@pytest.mark.needs_data
@pytest.mark.parametrize(
    ("name", "model"), [("spbleu", "unigram"), ("spbleu", "bpe"), ("chrf++", "")]
)
def test_200_directions(name: str, model: str, corpus: Corpus, home: Path) -> None:
    """The first 40 sentences of each; sacrebleu is given hypotheses and references each time, as
    its `corpus_bleu` and `corpus_chrf` do it, but for loading the tokenizer 200 times.
    """
    metric, oracle = ours(name, model), scorer(name, model)
    directions = corpus.sample(DIRECTIONS)
    assert len(set(directions)) == DIRECTIONS
    for direction in directions:
        hypotheses, references = corpus.hypotheses(direction), corpus.text(direction[1])
        expected = oracle.corpus_score(hypotheses, [references]).score
        rows = metric.statistics(hypotheses, metric.prepare([references]))
        assert metric.score(rows).hex() == float(expected).hex(), direction


@pytest.mark.needs_data
def test_the_same_seed_gives_the_same_translations(corpus: Corpus) -> None:
    direction = corpus.sample(1)[0]
    again = Corpus(corpus.folder, SENTENCES, seed=2).hypotheses(direction)
    assert again == corpus.hypotheses(direction)
    assert again != Corpus(corpus.folder, SENTENCES, seed=3).hypotheses(direction)
    assert len(again) == SENTENCES
    assert again != corpus.text(direction[1])


def run_command(kept: Path, *flags: str) -> Any:
    command = [sys.executable, str(COMMAND), "--kept", str(kept), "--processes", "1", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.needs_data
def test_the_command_goes_on_where_it_was(tmp_path: Path, test_data: Any) -> None:
    kept, scope = tmp_path / "kept.jsonl", ["--sentences", "5"]
    first = run_command(kept, *scope, "--directions", "4")
    assert first.returncode == 0, first.stderr
    assert "4 directions, spbleu, chrf++ (unigram model): scores and statistics" in first.stdout
    lines = kept.read_text().splitlines(keepends=True)
    assert len(lines) == 5
    forged = json.loads(lines[1])
    forged["metrics"]["spbleu"] |= {"ours": "0x1p0", "same": False}
    kept.write_text(lines[0] + f"{json.dumps(forged)}\n" + lines[2] + lines[3][:20])
    second = run_command(kept, *scope, "--directions", "4")
    assert (second.returncode, len(kept.read_text().splitlines())) == (1, 5)
    assert "spbleu: 0x1p0, sacrebleu 0x" in second.stdout, "what was there is not done again"
    other = run_command(kept, *scope, "--directions", "4", "--seed", "9")
    assert other.returncode == 0, "results of other texts do not count"
