"""What a batch is cut down to, and how it says so."""

import io

import pytest

from coordinator.domain.limits import Limits, sentences_from
from coordinator.errors import BadInput
from coordinator.pipelines import Pipeline
from coordinator.workers import cutting


def test_nothing_left_out_says_nothing() -> None:
    assert str(Limits()) == ""
    assert Limits().sentences_of("dev") == 0


def test_what_is_left_out_is_said_in_words() -> None:
    assert str(Limits(items=1)) == "limited: the first item"
    assert str(Limits(items=1200, sentences=(1,))) == (
        "limited: the first 1,200 items; the first sentence of each text"
    )
    assert str(Limits(sentences=(4, 1, 2), tiny_model=True)) == (
        "limited: the first 4, 1, 2 sentences (dev, devtest, test) of each text;"
        " the tiny model, a stand-in that translates nothing"
    )


def test_each_split_has_its_number_and_an_unknown_one_the_smallest() -> None:
    limits = Limits(sentences=(4, 1, 2))
    splits = ("dev", "devtest", "test", "train", None)
    assert [limits.sentences_of(split) for split in splits] == [4, 1, 2, 1, 1]
    assert Limits(sentences=(7,)).sentences_of(None) == 7


@pytest.mark.parametrize(("text", "numbers"), [("4", (4,)), ("4,1,2", (4, 1, 2)), (" 3 ", (3,))])
def test_numbers_of_sentences_are_read(text: str, numbers: tuple[int, ...]) -> None:
    assert sentences_from(text) == numbers


@pytest.mark.parametrize("text", ["", "0", "-1", "4,1", "1,2,0", "1,2,3,4", "x", "1.5", "9" * 5000])
def test_other_numbers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        sentences_from(text)


def test_the_texts_of_a_pipeline_are_known() -> None:
    pipeline = Pipeline.model_validate(
        {
            "name": "p",
            "aligned": [["source", "gold"]],
            "steps": [
                {"name": "t", "job": "inference", "inputs": {"source": "asset/source"}},
                {
                    "name": "s",
                    "job": "scoring",
                    "inputs": {"reference": "asset/ref", "tags": "asset/tags"},
                },
                {"name": "c", "job": "command", "inputs": {"source": "asset/picture"}},
            ],
        }
    )
    assert pipeline.texts == {"source", "gold", "ref"}


def first_lines(data: bytes, lines: int) -> bytes:
    sink = io.BytesIO()
    cutting.copy_lines(io.BytesIO(data), sink, lines)
    return sink.getvalue()


def test_a_text_is_cut_after_so_many_lines() -> None:
    data = "eins\r\nzwei\u2028drei\n\nvier".encode()
    assert first_lines(data, 1) == b"eins\r\n"
    assert first_lines(data, 2) == "eins\r\nzwei\u2028drei\n".encode()
    assert first_lines(data, 4) == first_lines(data, 9) == data
    assert first_lines(b"", 3) == b""


def test_a_line_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "_LONGEST", 8)
    assert first_lines(b"1234567\n12\n", 2) == b"1234567\n12\n"
    with pytest.raises(BadInput, match="line 2 is longer than 8 bytes"):
        first_lines(b"1\n123456789", 2)
