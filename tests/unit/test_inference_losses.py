"""A pack worked off by processes that are lost: who is to blame, and what becomes of the others."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from coordinator.domain.job_options import InferenceOptions
from coordinator.errors import ModelError, WorkInterrupted
from coordinator.inference import wire
from coordinator.inference.backend import Row
from coordinator.inference.crew import Member
from coordinator.inference.dealer import Budget, Dealer
from coordinator.inference.engine import Engine
from coordinator.inference.pool import Pool, Unit
from coordinator.inference.work import Work
from tests.model_server import COMMAND
from tests.unit.test_inference_engine import Bench, Verdicts, item, others_are_whole, plain, run


def is_alive(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def until(true: object) -> None:
    end = time.monotonic() + 20
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


# who is to blame


@pytest.mark.parametrize("where", ["", "ENCODE"])
def test_one_line_of_a_long_item_that_kills_is_found(tmp_path: Path, where: str) -> None:
    bad = item("bad", *(f"{n} words" for n in range(599)), f"{where}KILL here")
    texts = [*plain(3), bad]
    found = run(tmp_path / "mixing", texts)
    assert others_are_whole(found, texts, "bad")
    assert isinstance(found["bad"], MemoryError) and "bad, line 600" in str(found["bad"])


def test_an_item_of_which_every_line_kills_fails_alone(tmp_path: Path) -> None:
    texts = [*plain(2), item("bad", *(f"EXIT {n}" for n in range(100))), *plain(4)[2:]]
    found = run(tmp_path / "mixing", texts)
    assert others_are_whole(found, texts, "bad")
    assert isinstance(found["bad"], ModelError) and "exit code 3" in str(found["bad"])


def test_who_answered_when_it_was_killed_gives_nobody_away() -> None:
    process = subprocess.Popen(["sleep", "60"], process_group=0)
    try:
        member = Member(0, process)
        late, next_one = (Work("translate", [Unit(t, ("a", "b"), row=Row(1))]) for t in "xy")
        member.give(late)
        member.give(next_one)
        assert member.suspects == [late]
        member.answered({"id": 1})
        member.kill(TimeoutError("hung"), late)
        assert member.suspects == []
        assert member.let_go() == [next_one] and not member.in_hand
    finally:
        process.kill()
        process.wait()


def test_a_gpu_that_does_nothing_more_is_left_and_the_others_are_whole(tmp_path: Path) -> None:
    texts = [*plain(3), item("bad", "fine", "SPOIL it"), *plain(6)[3:]]
    found = run(tmp_path / "mixing", texts)
    assert others_are_whole(found, texts, "bad")
    assert isinstance(found["bad"], ModelError)
    assert "bad, line 2" in str(found["bad"]) and "device-side assert" in str(found["bad"])


def test_a_request_that_is_too_long_fails_its_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "LONGEST", 3000)
    texts = [*plain(3, lines=3), item("bad", "x" * 4000)]
    found = run(tmp_path / "mixing", texts, batch_size=4)
    assert others_are_whole(found, texts, "bad")
    assert isinstance(found["bad"], ModelError) and "more than 3000" in str(found["bad"])


# what a batch may hold


def test_a_sentence_that_never_fits_leaves_the_others_their_batches(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "mixing", max_batch_tokens=200)
    texts = [item("bad", "MEMORY here"), *plain(40)]
    assert others_are_whole(bench.run(texts), texts, "bad")
    assert isinstance(bench.found["bad"], MemoryError)
    assert len(bench.batches) < 30


def test_what_has_fitted_before_is_not_given_up() -> None:
    budget = Budget(4096, None)
    budget.fitted(4000)
    budget.shrink(20)
    assert budget.tokens == 4096
    budget.shrink(4000)
    assert budget.tokens == 2000


@pytest.mark.parametrize("options", [{"batch_size": 2}, {"max_batch_tokens": 10}])
def test_no_option_cuts_whole_items(tmp_path: Path, options: dict[str, int]) -> None:
    bench = Bench(tmp_path / "whole", **options)
    bench.run([*plain(2), item("bad", "MEMORY here", "x"), *plain(4)[2:]])
    assert isinstance(bench.found["bad"], MemoryError)
    assert [b.sentences for b in bench.batches] == [7] * 4


# several processes


@pytest.mark.parametrize("processes", [2, 3])
def test_as_many_processes_as_one_likes_give_the_same(tmp_path: Path, processes: int) -> None:
    texts = [*plain(30), item("bad", "RAISE it"), item("lost", "EXIT it")]
    one = run(tmp_path / "mixing", texts, max_batch_tokens=40)
    several = run(tmp_path / "mixing", texts, max_batch_tokens=40, processes=processes)
    assert others_are_whole(several, texts, "bad", "lost")

    def verdicts(found: Verdicts) -> dict[str, list[str] | str]:
        return {n: str(v) if isinstance(v, Exception) else v for n, v in found.items()}

    assert verdicts(one) == verdicts(several)


def test_each_gpu_has_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a, GPU-b,GPU-c")
    bench = Bench(tmp_path / "mixing", device=None, batch_size=1)
    assert len(bench.engine.crew.members) == 3
    bench.run([item(f"i{n}", f"GPU {n}") for n in range(9)])
    assert {f"on GPU GPU-{name}" for name in "abc"} <= set(bench.lines)


def test_more_processes_than_gpus_share_them_evenly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    bench = Bench(tmp_path / "mixing", device=None, processes=4, batch_size=1)
    setup = bench.engine.crew._setup
    bench.engine.close()
    assert [setup.environment(n)["CUDA_VISIBLE_DEVICES"] for n in range(4)] == ["0", "1", "0", "1"]


@pytest.mark.parametrize("kind", ["sick", "half"])
def test_a_gpu_that_is_broken_costs_no_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    bench = Bench(tmp_path / kind, device=None, max_batch_tokens=60)
    texts = [*plain(20), item("bad", "RAISE it")]
    assert others_are_whole(bench.run(texts), texts, "bad")
    assert any(line.startswith("process 2: the model's process died") for line in bench.losses)


def test_work_goes_to_who_has_least() -> None:
    members = [Member(seat, None) for seat in range(3)]  # type: ignore[arg-type]
    for member in members:
        member.ready = True
    pool = Pool(mixes_directions=True)
    pool.add([Unit(str(n), ("a", "b"), [(n, 0)], Row(5)) for n in range(4)])
    dealer = Dealer(pool, Budget(5, None), lambda _: True, whole_items=False)
    dealer.deal(members, more=False)
    assert [len(member.in_hand) for member in members] == [2, 1, 1]


# processes that behave badly


@pytest.mark.parametrize("name", ["here", "away"])
def test_a_child_that_holds_the_pipes_of_a_dead_process_is_not_waited_for(
    tmp_path: Path, name: str
) -> None:
    texts = [item("bad", f"FORK {name}"), *plain(2)]
    found = run(tmp_path / "mixing", texts)
    children = [int(path.name.removeprefix("child-")) for path in tmp_path.glob("child-*")]
    alive = [child for child in children if is_alive(child)]
    for child in alive:
        os.kill(child, signal.SIGKILL)
    assert others_are_whole(found, texts, "bad") and isinstance(found["bad"], MemoryError)
    assert children and alive == (children if name == "away" else [])


def test_a_process_that_closes_its_pipe_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.inference.crew._PATIENCE", 0.5)
    texts = [item("bad", "LEAVE me"), *plain(2)]
    found = run(tmp_path / "mixing", texts)
    assert others_are_whole(found, texts, "bad") and isinstance(found["bad"], ModelError)


def test_megabytes_of_print_disturb_nothing(tmp_path: Path) -> None:
    texts = [item("loud", "SHOUT it"), *plain(2)]
    bench = Bench(tmp_path / "mixing")
    assert others_are_whole(bench.run(texts), texts)
    assert "shouted" in bench.lines and bench.lines.count("x" * 999) == 3000


def test_a_process_that_ends_while_it_idles_is_replaced(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "mixing")

    def slowly() -> Iterator[object]:
        yield item("a", "IDLE soon")
        time.sleep(1.0)
        yield item("b", "x")

    assert bench.run(slowly()) == {"a": ["IDLE SOON.deu"], "b": ["X.deu"]}  # type: ignore[arg-type]
    assert bench.losses == ["process 1: the model's process died: exit code 0"]


def test_what_says_nonsense_first_is_no_model(tmp_path: Path) -> None:
    options = InferenceOptions(device="cpu")
    with pytest.raises(ModelError, match="nonsense"):
        Engine(tmp_path, options, command=("sh", "-c", "echo a model am I, believe me; sleep 60"))


# loading


def test_a_model_that_loads_for_ever_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match=r"slow took longer than 0\.7 s.*load_timeout"):
        Bench(tmp_path / "slow", load_timeout=0.7)


def test_a_stop_ends_the_loading(tmp_path: Path) -> None:
    asked = itertools.count()
    with pytest.raises(WorkInterrupted):
        options = InferenceOptions(device="cpu")
        Engine(tmp_path / "slow", options, stopped=lambda: next(asked) > 2, command=COMMAND)


def test_a_process_goes_with_its_worker_even_while_it_loads(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from coordinator.inference.engine import Engine;"
    code += "from coordinator.domain.job_options import InferenceOptions as Options;"
    code += f"Engine(Path({str(tmp_path / 'slow')!r}), Options(device='cpu'), command={COMMAND!r})"
    worker = subprocess.Popen([sys.executable, "-c", code])

    def children() -> list[int]:
        path = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    until(children)
    [model] = children()
    worker.kill()
    worker.wait()
    until(lambda: not is_alive(model))


# being stopped


@pytest.mark.parametrize("act", ["HANG", "KILL"])
def test_a_stop_ends_though_a_process_is_lost_meanwhile(tmp_path: Path, act: str) -> None:
    bench = Bench(tmp_path / "mixing", sentence_timeout=2.0, batch_size=1)
    texts = [item("a", "SLOW one two", f"{act} here"), item("b", "SLOW b"), item("c", "SLOW c")]
    with pytest.raises(WorkInterrupted):
        bench.run(texts, stopped=lambda: bool(bench.batches))
    assert bench.losses and len(bench.batches) < 4


def test_a_stop_does_not_wait_for_what_is_being_encoded(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "mixing")
    asked = itertools.count()
    began = time.monotonic()
    with pytest.raises(WorkInterrupted):
        bench.run([item("a", "ENCODEHANG it")], stopped=lambda: next(asked) > 5)
    assert time.monotonic() - began < 15 and not bench.found


def test_a_stop_waits_for_what_is_being_decoded(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "mixing", batch_size=1)
    texts = [item("a", "DECODESLOW it"), *(item(f"i{n}", f"SLOW {n}") for n in range(9))]
    with pytest.raises(WorkInterrupted):
        bench.run(texts, stopped=lambda: bool(bench.batches))
    assert "a" in bench.found and len(bench.batches) == len(bench.found) < 5


@pytest.mark.parametrize("where", ["ENCODE", "DECODE"])
def test_memory_that_runs_out_beside_translating_fails_one_item(tmp_path: Path, where: str) -> None:
    bench = Bench(tmp_path / "mixing", max_batch_tokens=100)
    texts = [*plain(3), item("bad", "fine", f"{where}MEMORY here"), *plain(20)[3:]]
    assert others_are_whole(bench.run(texts), texts, "bad")
    assert isinstance(bench.found["bad"], MemoryError) and "line 2" in str(bench.found["bad"])
    assert max(b.source_tokens or 0 for b in bench.batches) > 50
