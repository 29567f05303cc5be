"""What is said of two failures of one cause is the same but for what tells the items apart."""

import pytest

from coordinator.domain.alike import normalised
from coordinator.inference.faults import line_shown, prefixed


@pytest.mark.parametrize("sentence", ["Good evening.", "A ») in it: 7", "words " * 100, "\x1b[31m«"])
@pytest.mark.parametrize("item", ["fra-1", "jpn-2, "])
def test_where_a_model_failed_is_no_part_of_how(sentence: str, item: str) -> None:
    error = ValueError("handler.py:19 failed in translate")
    place = ", ".join(filter(None, [item.strip(", "), line_shown(17, sentence)]))
    found = normalised(str(prefixed(error, place)), item.strip(", "))
    assert found == normalised(str(error), "")


def test_other_lines_and_brackets_stay() -> None:
    assert normalised("line 3 (of 4): no", "") != normalised("line 3 (of it): no", "")
