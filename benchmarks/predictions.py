"""Translations to score, as many as the full track has: references, damaged.

    python benchmarks/predictions.py --output DIR [--directions N] [--sentences N] [--seed N]

Writes DIR/<source>-<target>.txt for each ordered pair of the 101 languages of the test data
(COORDINATOR_TEST_DATA, by default `../shared/data`): 10,100 files of 1,012 lines, 2 GB. A line is
the target language's own sentence with words dropped, swapped, repeated, cut short, or replaced
by words of the source language, so often of another script; a few are empty, a few are the source
itself. Some directions are damaged more than others. Languages that put no spaces between words
are damaged character by character.

The same seed gives the same bytes, on every machine: a direction depends on its seed and the two
texts alone. A file that is there already is kept.
"""

import argparse
import functools
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
DIRECTIONS = 10_100
SENTENCES = 1_012
SEED = 1
EMPTY, COPIED, UNTOUCHED = 0.01, 0.02, 0.10  # up to which draw a line is that

Direction = tuple[str, str]  # source and target language


def data_folder() -> Path:
    """Where the sentences are. Raises SystemExit where there are none."""
    data = os.environ.get("COORDINATOR_TEST_DATA") or REPOSITORY.parent / "shared" / "data"
    folder = Path(data, "ntrex101")
    if not folder.is_dir():
        raise SystemExit(f"no sentences in {folder}: set COORDINATOR_TEST_DATA")
    return folder


@dataclass(frozen=True)
class Corpus:
    """The same text in many languages, one file each: `<language>.txt`."""

    folder: Path
    sentences: int = SENTENCES
    seed: int = SEED
    _read: dict[str, list[str]] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def languages(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.txt"))

    @functools.cached_property
    def directions(self) -> list[Direction]:
        """All of them, by target language: who scores them prepares each reference once."""
        pairs = permutations(self.languages, 2)
        return sorted(pairs, key=lambda direction: direction[::-1])

    def sample(self, count: int) -> list[Direction]:
        """So many directions by the seed, in the order of `directions`."""
        if count >= len(self.directions):
            return self.directions
        chosen = random.Random(f"{self.seed} directions").sample(self.directions, count)
        return sorted(chosen, key=lambda direction: direction[::-1])

    def text(self, language: str) -> list[str]:
        if language not in self._read:
            lines = (self.folder / f"{language}.txt").read_text("utf-8").split("\n")
            self._read[language] = lines[: self.sentences]
        return self._read[language]

    def hypotheses(self, direction: Direction) -> list[str]:
        """The damaged references of one direction."""
        source, target = direction
        rng = random.Random(f"{self.seed} {source} {target}")
        return list(damaged(self.text(target), self.text(source), rng))


def damaged(lines: Sequence[str], foreign: Sequence[str], rng: random.Random) -> Iterator[str]:
    """Each of `lines` with some damage; `foreign`: the same sentences in another language."""
    rate = rng.uniform(0.05, 1.3)
    for line, other in zip(lines, foreign, strict=True):
        draw = rng.random()
        if draw < EMPTY:
            yield ""
        elif draw < COPIED:
            yield other
        elif draw < UNTOUCHED:
            yield line
        else:
            yield _damaged_line(line, other, rate, rng.random)


def _damaged_line(line: str, other: str, rate: float, draw: Callable[[], float]) -> str:
    words, joint = _units(line)
    foreign, _ = _units(other)
    for _ in range(int(rate * len(words) * 2 * draw()) + 1):
        _damage(words, foreign, draw)
    return joint.join(words)


def _units(line: str) -> tuple[list[str], str]:
    """Words, or characters where there are hardly any spaces; and what joins them again."""
    spaced = 16 * line.count(" ") > len(line)
    return (line.split(" "), " ") if spaced else (list(line), "")


def _damage(words: list[str], foreign: Sequence[str], draw: Callable[[], float]) -> None:
    """One fault at one place."""
    if not words:
        return
    at, fault = int(draw() * len(words)), draw()
    if fault < 0.25:
        del words[at]
    elif fault < 0.5:
        words[at - 1], words[at] = words[at], words[at - 1]
    elif fault < 0.65:
        words.insert(at, words[at])
    elif fault < 0.8:
        words[at] = words[at][:-1]
    elif foreign:
        words[at] = foreign[int(draw() * len(foreign))]


def write(corpus: Corpus, directions: Sequence[Direction], output: Path) -> None:
    """Write the files that are not there yet, each whole or not at all."""
    output.mkdir(parents=True, exist_ok=True)
    there, told = set(os.listdir(output)), time.monotonic()
    for number, (source, target) in enumerate(directions, start=1):
        name = f"{source}-{target}.txt"
        if name not in there:
            text = "".join(f"{line}\n" for line in corpus.hypotheses((source, target)))
            aside = output / f".{name}.{os.getpid()}"
            aside.write_bytes(text.encode())
            aside.replace(output / name)
        if time.monotonic() - told > 5:
            told = time.monotonic()
            print(f"{number:,} of {len(directions):,} directions", file=sys.stderr, flush=True)


def main() -> int:
    asked = arguments()
    corpus = Corpus(data_folder(), asked.sentences, asked.seed)
    directions = corpus.sample(asked.directions)
    write(corpus, directions, asked.output)
    print(f"{len(directions):,} directions in {asked.output}")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Damaged references as translations to score.")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--directions", type=int, default=DIRECTIONS, help="so many, by the seed (default all)"
    )
    parser.add_argument(
        "--sentences", type=int, default=SENTENCES, help="of each text (default all 1012)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="default 1")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
