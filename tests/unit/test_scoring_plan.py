"""Which languages an item is of, and in which order directions are handed out."""

import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from coordinator.errors import BadInput, StorageError
from coordinator.metrics import MetricSpec
from coordinator.scoring import CrewLost, Direction, Setup
from coordinator.scoring.crew import Crew, Queue
from coordinator.scoring.desk import Outcome
from coordinator.scoring.names import languages_of

TARGETS = {"deu", "eng", "eng-US", "fra", "fra-CA", "spa", "spa-MX", "zho-CN", "US"}


@pytest.mark.parametrize(
    ("item", "languages"),
    [
        ("deu-fra", ("deu", "fra")),
        ("fra-CA-zho-CN", ("fra-CA", "zho-CN")),
        ("spa-MX-spa", ("spa-MX", "spa")),
        ("spa-spa-MX", ("spa", "spa-MX")),
        ("demo-devtest-deu-fra-CA", ("deu", "fra-CA")),
        ("tlh-fra", ("tlh", "fra")),  # nobody knows it, but nothing else can be meant
        ("wiki-kor-fra", ("kor", "fra")),  # of the table
    ],
)
def test_languages_of_an_item(item: str, languages: tuple[str, str]) -> None:
    assert languages_of(item, TARGETS, {"kor"}) == languages


def test_what_can_be_cut_in_two_ways_is_not_guessed() -> None:
    with pytest.raises(BadInput, match="deu to eng-US or deu-eng to US"):
        languages_of("deu-eng-US", {*TARGETS, "deu-eng"})


@pytest.mark.parametrize("item", ["deu", "deu-kor", "-", "deu-", "a-b-c-fra"])
def test_no_languages(item: str) -> None:
    with pytest.raises(BadInput):
        languages_of(item, {"fra"})


def direction(item: str, size: int = 1) -> Direction:
    source, target = item.split("-")
    return Direction(item, source, target, Path(item), (Path(target),), size)


def test_who_has_a_language_stays_with_it() -> None:
    queue = Queue([direction("a-x", 5), direction("b-x", 9), direction("a-y"), direction("b-y")])
    assert len(queue) == 4
    first, second = queue.take(""), queue.take("")
    assert (first, second) == (direction("b-x", 9), direction("b-y"))  # the most work; a fresh one
    assert queue.take("x") == direction("a-x", 5)
    assert queue.take("x") == direction("a-y")  # nothing else is left
    assert queue.take("y") is None
    queue.put_back(direction("a-x", 5))
    assert queue.take("y") == direction("a-x", 5)


SETUP = Setup((MetricSpec("bleu"),), Path("/nowhere"), Path("/nowhere"))


def die_of_bad(setup: Setup, link: Connection) -> None:
    """A process that an item kills."""
    link.send(None)
    try:
        while True:
            item = link.recv().item
            if item.startswith("bad"):
                os.kill(os.getpid(), signal.SIGKILL)
            link.send(Outcome(item, {"m": 1.0}, is_new=True))
    except EOFError:
        return


def die_at_once(setup: Setup, link: Connection) -> None:
    os._exit(3)


def full_disk(setup: Setup, link: Connection) -> None:
    link.send(StorageError("the disk is full", hint="free some space"))


def test_an_item_that_kills_costs_nothing_else() -> None:
    good = [f"good{number}-{target}" for target in "xyz" for number in range(12)]
    items = [*good, "bad-x", "bad-y"]  # each process has been given more than it works on
    with Crew(SETUP, 2, die_of_bad) as crew:
        found = {outcome.item: outcome for outcome in crew.work_off(map(direction, items))}
    assert sorted(found) == sorted(items)
    failed = {item: outcome.problem for item, outcome in found.items() if outcome.problem}
    assert sorted(failed) == ["bad-x", "bad-y"]
    assert "2 processes died of it" in failed["bad-x"].reason
    assert "SIGKILL" in failed["bad-x"].reason


def test_processes_that_never_begin_are_given_up() -> None:
    with Crew(SETUP, 2, die_at_once) as crew, pytest.raises(CrewLost, match="exit code 3"):
        list(crew.work_off([direction("a-x"), direction("b-x")]))


def test_a_full_disk_ends_it_all() -> None:
    with Crew(SETUP, 1, full_disk) as crew, pytest.raises(StorageError) as caught:
        list(crew.work_off([direction("a-x")]))
    assert caught.value.hint == "free some space"
