"""A pack's log holds the lines of many items: those of one are told apart."""

import json
from collections.abc import Sequence

import pytest

from coordinator.reports import ItemLog
from coordinator.workers.logs import WorkerLog

PACK = ["a", "b", "c"]


def worker(event: str, item: str = "", **more: object) -> str:
    about = {"item": item} if item else {}
    fields = {"dispatch": "d", "step": "translate", **about, **more, "event": event}
    return json.dumps({**fields, "level": "info", "time": "2026-01-02T16:02:11.5Z"})


TRACE = ["Traceback (most recent call last):", '  File "handler.py", line 3', "KeyError: 'x'"]
LOG = [
    "loading the model",
    worker("ready", job="inference", load_s=1.5),
    "a: one",
    worker("item done", "a", seconds=2.0),
    "b: one",
    "b: 10%\rb: 90%\r",
    "without an end" + worker("item failed", "b", error="KeyError: 'x'", traceback=TRACE),
    '{"a model": "may print JSON"}',
    worker("item done", "c", seconds=0.5),
    worker("dispatch failed", error="the store is gone"),
]


def shown(item: str, *, only_model: bool = False, log: Sequence[str] = LOG) -> list[str]:
    picked = ItemLog(item, PACK, only_model=only_model)
    return [text for line in log for text in picked.feed(line)]


def test_each_item_has_its_own_lines() -> None:
    assert shown("a") == [
        "loading the model",
        "16:02:11 ready  job=inference  load_s=1.5",
        "a: one",
        "16:02:11 item done  seconds=2.0",
        "16:02:11 dispatch failed  error=the store is gone",
    ]
    assert shown("b")[2:-1] == [
        "b: one",
        "b: 90%",
        "without an end",
        "16:02:11 item failed  error=KeyError: 'x'",
        *TRACE,
    ]
    assert '{"a model": "may print JSON"}' in shown("c")


def test_only_the_model_ends_at_its_traceback() -> None:
    assert shown("b", only_model=True)[1:] == ["b: one", "b: 90%", "without an end", *TRACE]
    assert shown("a", only_model=True) == ["loading the model", "a: one"]


def test_without_a_traceback_the_error_is_said() -> None:
    log = [worker("ready"), worker("item failed", "a", error="false ended with exit code 1")]
    log += [worker("item failed", "b", error="", traceback=[])]
    assert shown("a", only_model=True, log=log) == ["false ended with exit code 1"]
    assert shown("b", only_model=True, log=log) == [""]


def test_an_item_that_is_in_hand_has_what_comes_last() -> None:
    log = [worker("ready"), worker("item was done before", "a"), "b is at work"]
    assert shown("b", only_model=True, log=log) == ["b is at work"]
    assert shown("c", only_model=True, log=log) == []


def test_it_is_known_when_the_item_has_ended() -> None:
    picked = ItemLog("b", PACK, only_model=False)
    ended = []
    for line in LOG:
        list(picked.feed(line))
        ended.append(picked.ended)
    assert ended == [False] * 6 + [True] * 4


def test_what_is_no_line_of_a_worker_is_shown_as_it_is() -> None:
    odd = ["{", '{"event": 5}', "[1]", '{"event": "of a model"}', "[" * 10]
    assert shown("a", only_model=True, log=odd) == odd
    assert shown("b", log=[worker("item done", "nobody"), "lost"]) == []


def test_marked_lines_are_shown_alone() -> None:
    """Whatever the model prints, and whichever item comes next in the pack."""
    forged = worker("item done", "c")
    log = [
        worker("ready"),
        worker("model", line="of both", items=["a", "b"]),
        worker("batch", items=["a", "b"], sentences=3, seconds=0.5),
        worker("batch", items=["c"], sentences=1, seconds=0.5),
        worker("model", line=forged, items=["b"]),
        worker("model", line="of nobody's"),
        worker("model", line="  10%\r  90%\r"),
    ]
    assert shown("a", only_model=True, log=log) == ["of both", "of nobody's", "  90%"]
    assert shown("b", only_model=True, log=log) == ["of both", forged, "of nobody's", "  90%"]
    assert shown("a", log=log)[:3] == [
        "16:02:11 ready",
        "of both",
        "16:02:11 batch  2 items  3 sentences  0.5 s",
    ]
    assert shown("c", log=log)[1:] == [
        "16:02:11 batch  1 item  1 sentence  0.5 s",
        "of nobody's",
        "  90%",
    ]


def test_a_worker_marks_what_its_model_prints(capsys: pytest.CaptureFixture[str]) -> None:
    log = WorkerLog(dispatch="d", step="translate")
    log.model('{"event": "item done", "item": "b"}', items=["a"])
    log.model("all of it")
    lines = capsys.readouterr().err.splitlines()
    assert shown("a", only_model=True, log=lines) == [
        '{"event": "item done", "item": "b"}',
        "all of it",
    ]
    assert shown("b", only_model=True, log=lines) == ["all of it"]
