"""What is said of two failures of one cause is the same but for what tells the items apart."""

import pytest

from coordinator.domain.alike import normalised
from coordinator.inference.faults import line_shown, prefixed


@pytest.mark.parametrize("sentence", ["Hello.", "A ») in it: 7", "words " * 100, "\x1b[31m«"])
@pytest.mark.parametrize("before", ["", "fra-1, "])
def test_where_a_model_failed_is_no_part_of_how(sentence: str, before: str) -> None:
    error = ValueError("handler.py:19 failed in translate")
    said = str(prefixed(error, before + line_shown(17, sentence)))
    assert normalised(said, "fra-1") == normalised(str(error), "jpn-2")


def test_what_else_stands_in_brackets_is() -> None:
    assert normalised("line 3 (of 4): no", "a") != normalised("line 3 (of it): no", "a")
