"""The pages about kinds of failure say what the code does, and the documents say what they say."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from coordinator.cli.app import whole_app
from coordinator.cli.show import result_lines
from coordinator.commands.results import FailureGroup, Results
from coordinator.domain.items import WorkItem
from coordinator.domain.states import AttemptState, FailureKind, ItemState
from coordinator.domain.verdicts import Ending, StopReason, Verdict, verdict_of
from coordinator.engine.policy import sequel_of
from coordinator.errors import WorkerExit
from coordinator.ledger import Attempt, Finish, Retry
from coordinator.pipelines import Pipeline, Step
from coordinator.reports.kinds import must_be_mended, next_lines, page_of
from tests.support import REPOSITORY

DOCUMENT = (REPOSITORY / "docs/interpreting-reports.md").read_text()
PIPELINE = Pipeline(name="p", steps=(Step(name="work", job="command"),))
WORDS = {1: "not tried again", 2: "tried twice in all", 3: "tried three times in all"}
ENDINGS = {
    FailureKind.INFRASTRUCTURE: [Ending(stop=StopReason.DRAINED), Ending(detail="no such image")],
    FailureKind.LOST: [Ending(gone=True)],
    FailureKind.OUT_OF_MEMORY: [Ending(oom_killed=True), Ending(signal=9), Ending(exit_code=137)],
    FailureKind.TIMEOUT: [Ending(stop=StopReason.TIME_LIMIT)],
    FailureKind.UNKNOWN: [Ending(exit_code=0), Ending(exit_code=1), Ending(signal=11)],
    FailureKind.STOPPED: [Ending(stop=StopReason.ASKED)],
}


def attempt(number: int) -> Attempt:
    return Attempt(
        id=number,
        item=WorkItem("a"),
        seq=0,
        step=0,
        number=number,
        round=1,
        state=AttemptState.RUNNING,
        sort_key="",
        memory_step=0,
        fresh=False,
    )


def tries_of(kind: FailureKind) -> int:
    """How often the engine lets an item fail so before it gives it up."""
    state = AttemptState.STOPPED if kind is FailureKind.STOPPED else AttemptState.FAILED
    failures: Counter[str] = Counter()
    for number in range(1, 100):
        sequel = sequel_of(attempt(number), Verdict(state, kind), failures, PIPELINE)
        if isinstance(sequel, Finish):
            assert sequel.state in (ItemState.FAILED, ItemState.STOPPED)
            return number
        assert isinstance(sequel, Retry) and sequel.wait_seconds == 0  # "at once"
        failures[kind] += 1
    raise AssertionError("it is tried for ever")


@pytest.mark.parametrize("kind", FailureKind)
def test_page_says_how_often_the_engine_tries(kind: FailureKind) -> None:
    assert page_of(kind).retried.startswith(WORDS[tries_of(kind)])


@pytest.mark.parametrize("code", [code for code in WorkerExit if code is not WorkerExit.OK])
def test_page_names_the_exit_code_that_tells_its_kind(code: WorkerExit) -> None:
    kind = verdict_of(None, Ending(exit_code=code)).kind
    assert kind is not None and re.search(rf"exit\s+code {code}\b", page_of(kind).detected)


@pytest.mark.parametrize("kind", ENDINGS)
def test_what_the_page_calls_its_evidence_gives_that_kind(kind: FailureKind) -> None:
    assert {verdict_of(None, ending).kind for ending in ENDINGS[kind]} == {kind}


def commands() -> Iterator[str]:
    for kind in FailureKind:
        page = page_of(kind)
        for text in (page.meaning, page.detected, page.retried, *page.to_do):
            yield from re.findall(r"`coordinator ([^`]+)`", text)


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_commands_of_pages_can_be_typed(command: str) -> None:
    function, _, _ = whole_app().parse_args(command, exit_on_error=False, print_error=False)
    assert function.__name__.rstrip("_").replace("_", "-") == command.split()[0]


@pytest.mark.parametrize("kind", FailureKind)
def test_every_page_says_what_to_do(kind: FailureKind) -> None:
    page = page_of(kind)
    assert page.meaning and page.detected and page.to_do
    assert any("`coordinator resubmit" in advice for advice in page.to_do)


def row(kind: FailureKind) -> str:
    page = page_of(kind)
    return f"| `{kind}` | {kind.sentence} | {page.retried} | {'; '.join(page.to_do)} |\n"


@pytest.mark.parametrize("kind", FailureKind)
def test_document_says_what_the_page_says(kind: FailureKind) -> None:
    assert row(kind) in DOCUMENT, f"the row should be\n{row(kind)}"


def test_what_to_do_next_is_to_mend_what_its_page_says_must_be_mended() -> None:
    mended = {kind for kind in FailureKind if must_be_mended(kind)}
    assert mended == {FailureKind.BAD_INPUT, FailureKind.MODEL_ERROR, FailureKind.CREDENTIALS}
    assert all("not tried again" in page_of(kind).retried for kind in mended)
    for kind in FailureKind:
        *look, again = next_lines("b", kind)
        assert again.endswith(f"coordinator resubmit b --kind {kind}")
        assert look == ([f"coordinator failures b --kind {kind}"] if kind in mended else [])


@pytest.mark.parametrize(
    ("kinds", "last"),
    [
        (["timeout"], ["coordinator resubmit b   (again, what failed)"]),
        (
            ["timeout", "model_error"],
            [
                "coordinator resubmit b --kind timeout",
                "coordinator failures b --kind model_error",
                "mend it, then: coordinator resubmit b --kind model_error",
            ],
        ),
    ],
)
def test_the_end_of_a_run_says_what_to_do_next(kinds: list[str], last: list[str]) -> None:
    groups = tuple(FailureGroup(FailureKind(kind), 1, "i1", "bad") for kind in kinds)
    found = Results("b", {ItemState.FAILED: len(kinds)}, 0, groups, "out/b")
    _, _, after = "\n".join(map(str, result_lines(found))).partition("  next     ")
    assert [line.strip() for line in after.splitlines()] == ["coordinator report b", *last]
