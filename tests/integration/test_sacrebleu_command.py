"""The same digits as sacrebleu's own command line, on the same files."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator.metrics import MetricSpec, parse_metrics
from coordinator.scoring import score_files
from tests.corpora import damaged, sentences

DIGITS = 10
COMMAND = Path(sys.executable).with_name("sacrebleu")

Corpus = tuple[Path, Path]  # hypotheses, reference


def printed(corpus: Corpus, *arguments: str, home: Path | None = None) -> list[dict[str, Any]]:
    """What the command prints: one document a metric, scores with ten digits."""
    argv = [str(COMMAND), str(corpus[1]), "-i", str(corpus[0]), "-w", str(DIGITS), *arguments]
    environment = os.environ | ({"SACREBLEU": str(home)} if home else {})
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=True)
    found = json.loads(done.stdout)
    return found if isinstance(found, list) else [found]


def ours(corpus: Corpus, *entries: str | dict[str, Any]) -> list[tuple[float, str]]:
    """The scores, cut to as many digits, and the signatures."""
    scored = score_files(*corpus, parse_metrics(list(entries)))
    results = scored.scores.metrics.values()
    return [(float(f"{result.score:.{DIGITS}f}"), result.signature) for result in results]


def theirs(found: list[dict[str, Any]]) -> list[tuple[float, str]]:
    return [(document["score"], document["signature"]) for document in found]


def written(folder: Path, hyps: list[str], refs: list[str]) -> Corpus:
    """Both as files, without the characters at which the command would cut a line in two."""
    paths = (folder / "hyp.txt", folder / "ref.txt")
    for path, lines in zip(paths, (hyps, refs), strict=True):
        flat = [line.replace("\n", " ").replace("\r", " ") for line in lines]
        path.write_text("".join(f"{line}\n" for line in flat), "utf-8")
    return paths


def assert_same_digits(corpus: Corpus) -> None:
    three = printed(corpus, "-m", "bleu", "chrf", "ter")
    assert ours(corpus, "bleu", "chrf", "ter") == theirs(three)
    assert len({score for score, _ in theirs(three)}) == 3
    plusplus = printed(corpus, "-m", "chrf", "--chrf-word-order", "2")
    assert ours(corpus, "chrf++") == theirs(plusplus)


@pytest.mark.parametrize("seed", [0, 1])
def test_made_up_text(seed: int, tmp_path: Path) -> None:
    refs = sentences(seed, 25)
    assert_same_digits(written(tmp_path, damaged(refs, seed), refs))


@pytest.mark.needs_data
@pytest.mark.parametrize("direction", ["deu fra", "hin zho-CN", "eng-US arb", "rus jpn"])
def test_real_text(direction: str, test_data: Callable[[str], Path], tmp_path: Path) -> None:
    """Untranslated and damaged text in one: some of each, as from a model that is half right."""
    source, target = (
        test_data(f"ntrex101/{language}.txt").read_text("utf-8").split("\n")[:25]
        for language in direction.split()
    )
    hyps = [*source[:4], "", *damaged(target, 5)[5:]]
    assert_same_digits(written(tmp_path, hyps, target))


@pytest.mark.parametrize("tokenizer", ["intl", "zh", "char", "none"])
def test_tokenizers(tokenizer: str, tmp_path: Path) -> None:
    refs = sentences(3, 40)
    corpus = written(tmp_path, damaged(refs, 3), refs)
    found = printed(corpus, "-m", "bleu", "--tokenize", tokenizer, "-lc")
    assert ours(corpus, {"name": "bleu", "tokenize": tokenizer, "lowercase": True}) == theirs(found)


def test_white_space_at_the_ends(tmp_path: Path) -> None:
    corpus = written(tmp_path, ["a b c d \t", " e f g h\u3000"], ["a b c d", "e f g h \u00a0"])
    found = printed(corpus, "-m", "chrf", "--chrf-whitespace")
    assert ours(corpus, {"name": "chrf", "whitespace": True}) == theirs(found)


@pytest.mark.needs_data
@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_spbleu(kind: str, test_data: Callable[[str], Path], tmp_path: Path) -> None:
    """The command takes the file for the one that it would else download; the digits are equal."""
    model = test_data(f"spm/{kind}256k.model")
    (tmp_path / "models").mkdir()
    shutil.copy(model, tmp_path / "models" / "sacrebleu_tokenizer_spm.model")
    refs = test_data("ntrex101/kat.txt").read_text("utf-8").split("\n")[:60] + sentences(4, 20)
    corpus = written(tmp_path, damaged(refs, 4), refs)
    found = printed(corpus, "-m", "bleu", "--tokenize", "flores101", home=tmp_path)
    spec = MetricSpec("spbleu", model=model)
    (score, signature), *_ = ours(corpus, spec.to_option())
    assert score == found[0]["score"]
    shown = score_files(*corpus, [spec]).scores.metrics["spbleu"].tokenizer_sha256[:8]
    assert signature == found[0]["signature"].replace("tok:flores101", f"tok:spm-{shown}")
