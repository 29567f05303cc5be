"""The worker's line about a batch of sentences, as a person reads it."""

from typing import Any

import pytest

from coordinator.reports.batch_line import batch_in_words

WHOLE = {
    "items": ["a", "b"],
    "sentences": 64,
    "source_tokens": 1204,
    "target_tokens": 1310,
    "truncated": 1,
    "seconds": 0.52,
    "padding": 0.042,
    "peak_memory": 1_288_490_189,
    "device": "cuda",
}


def test_all_that_a_batch_took_is_shown() -> None:
    assert batch_in_words(WHOLE) == (
        "batch  2 items  64 sentences  1,204 tokens read, 1,310 written  0.52 s  2,519 tokens/s"
        "  padding 4%  1 cut off  peak 1.2 GiB  on cuda"
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "batch"),
        ({"items": 1, "sentences": 1}, "batch  1 item  1 sentence"),
        ({"source_tokens": 10, "seconds": 2.0}, "batch  10 tokens read  2 s  5 tokens/s"),
        ({"target_tokens": 10, "seconds": 0}, "batch  10 tokens written  0 s"),
        ({"seconds": 123456.7, "peak_memory": 2048}, "batch  123,457 s  peak 2 KiB"),
        ({"padding": 0, "peak_memory": 0, "truncated": 0}, "batch  padding 0%"),
    ],
)
def test_what_is_not_known_is_left_out(fields: dict[str, Any], words: str) -> None:
    assert batch_in_words(fields) == words


@pytest.mark.parametrize("value", ["64", True, None, [1], float("nan"), float("inf"), 10**400])
def test_what_is_no_number_is_left_out(value: Any) -> None:
    numbers = dict.fromkeys(WHOLE, value) | {"items": 3, "device": ""}
    assert batch_in_words(numbers) == "batch  3 items"
