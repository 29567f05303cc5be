"""A pack worked off by model processes that are killed, hang, raise, or run out of memory."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from coordinator.domain.job_options import InferenceOptions
from coordinator.domain.work import TracebackElsewhere
from coordinator.errors import BadInput, ModelError, StorageUnavailable, WorkInterrupted
from coordinator.inference import BatchRecord
from coordinator.inference.book import Text, Translated
from coordinator.inference.engine import Engine
from tests.model_server import COMMAND

Verdicts = dict[str, list[str] | Exception]


class Bench:
    """An engine, what it told, and what became of the items, in the order of their ends."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.batches: list[BatchRecord] = []
        self.lines: list[str] = []
        self.losses: list[str] = []
        chosen = InferenceOptions(**{"sentence_timeout": 20.0, "device": "cpu", **options})
        told = self.batches.append, self.lines.append, self.losses.append
        self.engine = Engine(folder, chosen, *told, command=COMMAND)
        self.found: dict[str, Translated | Exception] = {}

    def run(self, texts: Sequence[Text] | Iterator[Text], **given: Any) -> Verdicts:
        try:
            for text, found in self.engine.work_off(texts, lambda text: text, **given):
                self.found[text.name] = found
        finally:
            self.engine.close()
        return {
            name: found.translations if isinstance(found, Translated) else found
            for name, found in self.found.items()
        }


def item(name: str, *sentences: str, target: str = "deu") -> Text:
    return Text(name, sentences, "eng", target)


def shouted(text: Text) -> list[str]:
    return [f"{s.upper()}.{text.target}" if s.strip() else "" for s in text.sentences]


def run(folder: Path, texts: Sequence[Text], **options: Any) -> Verdicts:
    return Bench(folder, **options).run(texts)


def others_are_whole(found: Verdicts, texts: Sequence[Text], *failed: str) -> bool:
    wanted = {text.name: shouted(text) for text in texts if text.name not in failed}
    return {name: v for name, v in found.items() if name not in failed} == wanted


def plain(count: int, *, lines: int = 7) -> list[Text]:
    """Items whose sentences have many lengths."""
    return [
        item(f"item-{n}", *(f"{n} {m}" + " word" * ((n * 7 + m * 3) % 11) for m in range(lines)))
        for n in range(count)
    ]


# what is translated


@pytest.mark.parametrize("kind", ["mixing", "apart"])
def test_each_line_gets_its_own_translation(tmp_path: Path, kind: str) -> None:
    texts = [*plain(12), item("fra", "one", "", "  ", "two words", target="fra"), item("none")]
    found = run(tmp_path / kind, texts, max_batch_tokens=32)
    assert others_are_whole(found, texts) and len(found) == 14
    assert found["fra"] == ["ONE.fra", "", "", "TWO WORDS.fra"]
    assert found["none"] == []


def test_items_share_batches_up_to_the_budget(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "mixing", max_batch_tokens=64)
    bench.run(plain(20))
    assert sum(batch.sentences for batch in bench.batches) == 140
    assert max(len(batch.items) for batch in bench.batches) > 3
    assert all(b.tokens_per_second and b.peak_memory for b in bench.batches)
    assert all(
        (b.source_tokens or 0) <= 64 and 0 <= b.padding < 1 and b.device == "cpu"
        for b in bench.batches
    )
    spent = sum((b.source_tokens or 0) / (1 - b.padding) for b in bench.batches)
    assert sum(b.source_tokens or 0 for b in bench.batches) > 0.75 * spent


def test_directions_share_no_batch_where_they_must_not(tmp_path: Path) -> None:
    texts = [item("a", "one"), item("b", "two", target="fra"), item("c", "three")]
    bench = Bench(tmp_path / "apart")
    assert others_are_whole(bench.run(texts), texts)
    assert len(bench.batches) >= 2 and sum(b.sentences for b in bench.batches) == 3


def test_whole_items_stay_whole(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "whole")
    bench.run(plain(3, lines=40))
    batches = [(b.items, b.sentences) for b in bench.batches]
    assert batches == [((f"item-{n}",), 40) for n in range(3)]


def test_whole_items_keep_blank_and_repeated_lines(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "whole")
    found = bench.run([item("a", "x", "", "x"), item("b", "x")])
    assert found == {"a": ["X.deu", ".deu", "X.deu"], "b": ["X.deu"]}
    assert [b.sentences for b in bench.batches] == [3, 1]


def test_a_sentence_that_occurs_twice_is_translated_once(tmp_path: Path) -> None:
    texts = [item("a", "x", "y", "x"), item("b", "y", "z"), item("c", "x", target="fra")]
    bench = Bench(tmp_path / "mixing")
    assert others_are_whole(bench.run(texts), texts)
    assert sum(batch.sentences for batch in bench.batches) == 4


def test_several_processes_share_the_work(tmp_path: Path) -> None:
    texts = [item(f"i{n}", *(f"SLOW {n} {m}" for m in range(2))) for n in range(4)]
    bench = Bench(tmp_path / "mixing", processes=2, batch_size=1)
    began = time.monotonic()
    assert others_are_whole(bench.run(texts), texts)
    assert time.monotonic() - began < 8 * 0.3 - 0.2


def test_items_are_taken_as_they_are_needed(tmp_path: Path) -> None:
    taken: list[str] = []

    def lazily() -> Iterator[Text]:
        for text in plain(400, lines=20):
            taken.append(text.name)
            yield text

    bench = Bench(tmp_path / "mixing", max_batch_tokens=64)
    ends = bench.engine.work_off(lazily(), lambda text: text)
    first, _ = next(ends)
    assert first.name in taken[:6] and len(taken) < 40
    ends.close()
    bench.engine.close()


def test_items_end_in_about_their_order(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "mixing", max_batch_tokens=64)
    bench.run(plain(60, lines=20))
    ended = [int(name.removeprefix("item-")) for name in bench.found]
    assert max(abs(number - place) for place, number in enumerate(ended)) < 15


def test_time_and_tokens_are_shared_out(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "mixing")
    bench.run([item("a", "one two", "one two"), item("b", "word " * 120)])
    a, b = bench.found["a"], bench.found["b"]
    assert isinstance(a, Translated) and isinstance(b, Translated)
    assert (a.tokens, a.truncated, b.tokens, b.truncated) == (2, 0, 100, 1)
    spent = sum(batch.seconds for batch in bench.batches)
    assert a.seconds + b.seconds == pytest.approx(spent, abs=1e-5)


def test_what_the_model_prints_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "mixing")
    bench.run([item("a", "SAY hello")])
    assert "said hello" in bench.lines


# what goes wrong with one sentence


@pytest.mark.parametrize("kind", ["mixing", "whole"])
@pytest.mark.parametrize("where", ["", "ENCODE", "DECODE"])
@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        ("RAISE", ModelError, "cannot say"),
        ("EXIT", ModelError, "exit code 3"),
        ("KILL", MemoryError, "SIGKILL"),
    ],
)
def test_a_sentence_that_fails_fails_its_item_alone(
    tmp_path: Path, kind: str, where: str, act: str, error: type[Exception], said: str
) -> None:
    texts = plain(6)
    bad = item("bad", "fine", "well", f"{where}{act} here", "fine too")
    texts.insert(3, bad)
    bench = Bench(tmp_path / kind)
    found = bench.run(texts)
    assert others_are_whole(found, texts, "bad")
    failure = found["bad"]
    assert isinstance(failure, error) and said in str(failure)
    if kind == "mixing":
        assert f"bad, line 3 («{where}{act} here»)" in str(failure)
    else:
        assert {b.sentences for b in bench.batches if "bad" in b.items} <= {4}, "none is cut"


def test_the_traceback_comes_along(tmp_path: Path) -> None:
    failure = run(tmp_path / "mixing", [item("bad", "RAISE here")])["bad"]
    assert isinstance(failure, ModelError)
    assert isinstance(failure.__cause__, TracebackElsewhere)
    assert "in raise_value_error" in str(failure.__cause__)


@pytest.mark.parametrize("where", ["", "ENCODE", "DECODE"])
def test_a_sentence_that_hangs_is_found(tmp_path: Path, where: str) -> None:
    texts = [*plain(2, lines=2), item("bad", f"{where}HANG here"), *plain(1, lines=3)]
    texts[3] = Text("last", texts[3].sentences, "eng", "deu")
    found = run(tmp_path / "mixing", texts, sentence_timeout=0.4)
    assert others_are_whole(found, texts, "bad")
    assert isinstance(found["bad"], TimeoutError) and "bad, line 1" in str(found["bad"])


def test_every_item_that_holds_the_sentence_fails(tmp_path: Path) -> None:
    texts = [item("a", "RAISE it"), item("b", "fine", "RAISE it"), item("c", "fine")]
    found = run(tmp_path / "mixing", texts)
    assert "a, line 1" in str(found["a"]) and "b, line 2" in str(found["b"])
    assert found["c"] == ["FINE.deu"]


def test_a_translation_that_is_no_text_is_a_fault_of_the_model(tmp_path: Path) -> None:
    texts = [item("bad", "NUMBER"), *plain(2)]
    found = run(tmp_path / "mixing", texts)
    assert others_are_whole(found, texts, "bad")
    assert isinstance(found["bad"], ModelError) and "no text" in str(found["bad"])


def test_a_language_that_is_not_known_fails_its_items(tmp_path: Path) -> None:
    texts = [item("bad", *"abcdefgh", target="tlh"), *plain(2)]
    found = run(tmp_path / "mixing", texts)
    assert others_are_whole(found, texts, "bad")
    assert isinstance(found["bad"], BadInput) and str(found["bad"]) == "no Klingon"


def test_an_item_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    def read(text: Text) -> Text:
        if text.name == "item-1":
            raise BadInput("not UTF-8")
        return text

    bench = Bench(tmp_path / "mixing")
    ends = {text.name: found for text, found in bench.engine.work_off(plain(3), read)}
    bench.engine.close()
    assert isinstance(ends.pop("item-1"), BadInput)
    assert all(isinstance(found, Translated) for found in ends.values()) and len(ends) == 2


# what goes wrong with a process


def test_a_batch_that_does_not_fit_is_halved_and_gone_on_with(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "small", max_batch_tokens=160)
    texts = plain(20)
    assert others_are_whole(bench.run(texts), texts)
    sizes = [b.sentences for b in bench.batches]
    assert sum(sizes) == 140 and max((b.source_tokens or 0) for b in bench.batches) <= 40


def test_a_sentence_that_never_fits_fails_its_item(tmp_path: Path) -> None:
    texts = [*plain(4), item("long", "word " * 50)]
    found = run(tmp_path / "small", texts)
    assert others_are_whole(found, texts, "long")
    assert isinstance(found["long"], MemoryError) and "long, line 1" in str(found["long"])


@pytest.mark.parametrize("where", ["", "ENCODE", "DECODE"])
def test_a_process_that_is_killed_once_costs_nobody_anything(tmp_path: Path, where: str) -> None:
    texts = [*plain(4), item("once", f"{where}ONCE mark")]
    found = run(tmp_path / "mixing", texts)
    assert (tmp_path / "mark").exists() and others_are_whole(found, texts)


def test_a_process_that_is_killed_from_outside_is_replaced(tmp_path: Path) -> None:
    texts = [item(f"i{n}", *(f"SLOW {n} {m}" for m in range(3))) for n in range(3)]
    bench = Bench(tmp_path / "mixing", batch_size=3)
    victim = bench.engine.crew.members[0].process.pid
    threading.Timer(0.3, os.kill, (victim, signal.SIGKILL)).start()
    assert others_are_whole(bench.run(texts), texts)


def test_a_model_that_always_dies_fails_soon(tmp_path: Path) -> None:
    texts = [item(f"i{n}", *(f"EXIT {n} {m}" for m in range(50))) for n in range(50)]
    with pytest.raises(ModelError, match="died of one sentence after the other.*exit code 3"):
        run(tmp_path / "mixing", texts)


def test_a_model_that_cannot_be_loaded_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model: it is broken"):
        Bench(tmp_path / "broken")
    with pytest.raises(ModelError, match="SIGSEGV"):
        Bench(tmp_path / "dying")


def test_what_is_no_fault_of_a_sentence_ends_it_all(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        run(tmp_path / "mixing", [item("a", "UNPLUGGED now")])


def test_items_that_can_be_had_no_more_end_it_all(tmp_path: Path) -> None:
    def failing() -> Iterator[Text]:
        yield item("a", "one")
        raise StorageUnavailable("gone")

    with pytest.raises(StorageUnavailable):
        Bench(tmp_path / "mixing").run(failing())


# being stopped


def test_a_stop_finishes_the_batches_in_hand(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "mixing", batch_size=1)
    texts = [item(f"i{n}", f"SLOW {n}") for n in range(30)]
    with pytest.raises(WorkInterrupted):
        bench.run(texts, stopped=lambda: bool(bench.batches))
    assert list(bench.found) == ["i0", "i1"] or list(bench.found) == ["i0", "i1", "i2"]
    assert len(bench.batches) == len(bench.found)


def test_a_stop_before_anything_begins(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "mixing")
    with pytest.raises(WorkInterrupted):
        bench.run(plain(3), stopped=lambda: True)
    assert not bench.found and not bench.batches


def test_a_stop_after_all_is_done_is_no_interruption(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "mixing")
    assert len(bench.run(plain(3), stopped=lambda: len(bench.found) == 3)) == 3
