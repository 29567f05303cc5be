"""Whoever mistypes a name is told the nearest, and how many there are."""

import time
from collections.abc import Sequence

import pytest

from coordinator.settings import among, nearest

MANY = [f"flores-devtest-{n:05d}-eng" for n in range(20_000)]


@pytest.mark.parametrize(
    ("typed", "names", "said"),
    [
        ("mybatch", ["my-batch", "other"], "did you mean my-batch? There are 2 batches in all"),
        ("zz", ["my-batch", "other"], "there are 2 batches in all: my-batch, other"),
        (
            "my",
            ["my-batch-of-may", "x"],
            "did you mean my-batch-of-may? There are 2 batches in all",
        ),
        (
            "chrf",
            ["item", "score_chrf_of_all_sentences"],
            "did you mean score_chrf_of_all_sentences? There are 2 batches in all",
        ),
        ("at", ["my-batch-of-may"], "there is 1 batch in all: my-batch-of-may"),
        ("zz", ["my-batch"], "there is 1 batch in all: my-batch"),
        ("zz", [], "there are no batches in all"),
    ],
)
def test_the_nearest_are_named_with_how_many_there_are(
    typed: str, names: Sequence[str], said: str
) -> None:
    assert among(typed, names, "batch", len(names)) == said


def test_three_are_named_at_most_and_where_the_others_are_listed() -> None:
    said = among("b-1", [f"b-{n}" for n in range(1, 40)], "batch", 39, "coordinator ls")
    assert said.startswith("did you mean b-1, ") and said.count(",") == 2
    assert said.endswith("There are 39 batches in all; coordinator ls lists them")


def test_where_none_of_many_is_near_one_is_shown_as_an_example() -> None:
    assert among("qq", MANY, "item", 1_000_000) == (
        "there are 1,000,000 items in all, such as flores-devtest-00000-eng"
    )


def test_among_very_many_the_nearest_is_found_while_one_waits() -> None:
    began = time.process_time()
    assert "flores-devtest-17707-eng" in nearest("flores-devtset-17707-eng", MANY)
    assert time.process_time() - began < 1.0
