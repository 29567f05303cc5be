import csv
import io
import json
import os
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from coordinator.domain.handoff import Failure
from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import FailureKind as K
from coordinator.domain.verdicts import Ending, StopReason
from coordinator.errors import BadInput, UsageError
from coordinator.reports import Summary, items_to_resubmit, local_reports, read_scores
from coordinator.reports.render import render
from tests.log_trees import LogBuilder, outcome

KILLED = Ending(exit_code=137)


@pytest.fixture
def logs(tmp_path: Path) -> LogBuilder:
    return LogBuilder(tmp_path / "logs")


def report(logs: LogBuilder, run_list: Path | None = None, batch: str | None = None) -> Summary:
    return local_reports(
        logs.root, run_list=run_list, report_dir=logs.root.parent / "report", batch=batch
    )


def listed(logs: LogBuilder, name: str) -> list[str]:
    return (logs.root.parent / "report" / name).read_text().splitlines()


def document(logs: LogBuilder, name: str) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]]
    found = json.loads((logs.root.parent / "report" / name).read_text())
    return found


def rows(logs: LogBuilder, name: str) -> list[dict[str, str]]:
    text = (logs.root.parent / "report" / name).read_bytes().decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def printed(summary: Summary, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, soft_wrap=True, markup=False, emoji=False).print(render(summary))
    return out.getvalue()


# the lists


def test_what_was_done_and_not_stored_is_a_list_of_its_own(logs: LogBuilder) -> None:
    def said(event: str, **more: str) -> str:
        return json.dumps({"dispatch": "d", **more, "event": event, "level": "error"}) + "\n"

    ready, lost = said("ready"), said("result not stored", item="a", error="503 SlowDown")
    end, again = said("dispatch failed", error="503 SlowDown"), Ending(exit_code=75)
    logs.submit("a", "another", "before", "failed since", "refused", "stored")
    logs.dispatch("translate", "a", ending=again, stderr=ready + lost + end)
    logs.dispatch("translate", "another", ending=again, stderr=ready + lost + end)
    earlier = ready + lost.replace('"a"', '"before"') + ready
    logs.dispatch("translate", "before", ending=KILLED, stderr=earlier)
    since = earlier.replace('"before"', '"failed since"')
    for item, kind, code, stderr in (
        ("refused", K.CREDENTIALS, 77, ready + lost.replace('"a"', '"refused"')),
        ("failed since", K.MODEL_ERROR, 70, since),
    ):
        left = {item: outcome(failure=Failure(kind=kind, message="it failed"))}
        ended = Ending(exit_code=code)
        logs.dispatch("translate", item, outcomes=left, ending=ended, stderr=stderr)
    logs.dispatch("translate", "stored", ending=again, stderr=lost.replace('"a"', '"stored"'))
    logs.through("stored")
    summary = report(logs)
    assert listed(logs, "not_stored.txt") == ["a", "refused"]
    assert listed(logs, "fail_infrastructure.txt") == ["a", "another"]
    assert document(logs, "summary.json")["not_stored"] == 2
    assert "not stored      2  not_stored.txt (some of the failed above)" in printed(summary)
    [message] = [m for m in document(logs, "messages.json")["infrastructure"] if m["item"] == "a"]
    assert (message["line"], message["message"]) == (2, "503 SlowDown")
    logs.through("a", "refused")
    report(logs)
    assert not (logs.root.parent / "report/not_stored.txt").exists()


def test_every_list(logs: LogBuilder) -> None:
    logs.submit("ok", "none", "oom", "bad", "silent", "out", "never", skipped=[])
    logs.through("ok")
    logs.dispatch("translate", "none", outcomes={"none": outcome(no_data=True)}, ending=Ending())
    logs.dispatch("translate", "oom", ending=KILLED)
    logs.fail("translate", "bad", K.BAD_INPUT, "source is empty")
    logs.crash("translate", "silent", "", exit_code=0)
    logs.dispatch("translate", "out")
    logs.through("stranger")
    summary = report(logs)
    expected = {
        "unique_success_item_names.txt": ["ok"],
        "early_exit.txt": ["none"],
        "unique_fail_item_names.txt": ["bad", "oom", "silent"],
        "fail_out_of_memory.txt": ["oom"],
        "fail_bad_input.txt": ["bad"],
        "fail_unknown.txt": ["silent"],
        "silent_failures.txt": ["silent"],
        "still_running.txt": ["out"],
        "queued.txt": ["out"],
        "not_run.txt": ["never"],
        "sorted-run-list.txt": ["bad", "never", "none", "ok", "oom", "out", "silent"],
        "outside_run_list.txt": ["stranger"],
    }
    assert {name: listed(logs, name) for name in expected} == expected
    others = {"messages.json", "summary.csv", "summary.json"}
    assert set(os.listdir(logs.root.parent / "report")) == {*expected, *others}
    assert summary.counts.total == summary.counts.run_list == 7
    assert summary.outside == 1
    assert summary.notes == ()


def test_lists_of_an_earlier_report_do_not_stay(logs: LogBuilder) -> None:
    logs.submit("a")
    logs.dispatch("translate", "a", ending=KILLED)
    report(logs)
    mine = logs.root.parent / "report" / "fail_notes_of_mine.txt"
    mine.write_text("keep")
    logs.through("a", scores={"bleu": 1.0})
    summary = report(logs)
    names = os.listdir(logs.root.parent / "report")
    assert "fail_out_of_memory.txt" not in names
    assert mine.name in names
    assert listed(logs, "unique_success_item_names.txt") == ["a"]
    assert set(summary.files) == set(names) - {mine.name}


def test_items_left_out_at_the_start_are_listed_with_the_reason(logs: LogBuilder) -> None:
    logs.submit("a", skipped=[{"id": "b", "reason": "reference is unaligned"}])
    logs.through("a")
    summary = report(logs)
    assert (summary.counts.run_list, summary.counts.not_run, summary.skipped) == (2, 1, 1)
    assert listed(logs, "skipped.txt") == ["b"]
    assert rows(logs, "summary.csv")[1]["reason"] == "skipped: reference is unaligned"


# the run list


def test_a_given_run_list_wins(logs: LogBuilder, tmp_path: Path) -> None:
    logs.submit("a", "b")
    logs.through("a", "b")
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbf# mine\r\nc\r\n\r\nb\r\nb\n")
    summary = report(logs, path)
    assert (summary.counts.run_list, summary.counts.not_run) == (2, 1)
    assert (summary.outside, summary.repeated) == (1, 1)
    assert listed(logs, "outside_run_list.txt") == ["a"]


def test_without_any_list_the_summary_says_so(logs: LogBuilder) -> None:
    logs.through("b", "a")
    summary = report(logs)
    assert listed(logs, "sorted-run-list.txt") == ["a", "b"]
    assert not summary.run_list_complete
    assert "no run list" in printed(summary)


def test_a_run_list_shorter_than_the_batch_is_told(logs: LogBuilder) -> None:
    logs.submit("a", "b")
    (logs.folder / "items.txt").write_text("a\n")
    assert [note.problem for note in report(logs).notes] == ["asks for 2 items; items.txt has less"]


@pytest.mark.parametrize(
    "content", ["", "# nothing\n\n", "../../etc/passwd\n", "a\nb c\n", "a\x00\n"]
)
def test_a_run_list_that_cannot_be_used_is_refused(
    logs: LogBuilder, tmp_path: Path, content: str
) -> None:
    logs.through("a")
    path = tmp_path / "list.txt"
    path.write_text(content)
    with pytest.raises(BadInput):
        report(logs, path)


def test_a_bad_line_is_named(logs: LogBuilder, tmp_path: Path) -> None:
    logs.through("a")
    path = tmp_path / "list.txt"
    path.write_text("a\n../b\nc d\n")
    with pytest.raises(BadInput) as caught:
        report(logs, path)
    assert [p.where for p in caught.value.problems] == [f"{path}:2", f"{path}:3"]


# which batch


def test_the_folder_of_the_batch_itself_will_do(logs: LogBuilder, tmp_path: Path) -> None:
    logs.through("a")
    summary = local_reports(logs.folder, run_list=None, report_dir=tmp_path / "r", batch=None)
    assert (summary.batch, summary.counts.succeeded) == ("b", 1)


def test_several_batches_must_be_told_apart(logs: LogBuilder) -> None:
    logs.through("a")
    other = LogBuilder(logs.root, "other")
    other.through("x", "y")
    with pytest.raises(BadInput, match="2 batches") as caught:
        report(logs)
    assert caught.value.why == "b, other"
    assert report(logs, batch="other").counts.succeeded == 2
    with pytest.raises(BadInput, match="no logs of a batch third"):
        report(logs, batch="third")
    with pytest.raises(BadInput):
        report(logs, batch="../logs/b")


def test_no_logs_at_all(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no logs"):
        local_reports(tmp_path, run_list=None, report_dir=tmp_path, batch=None)
    with pytest.raises(BadInput, match="no log folder"):
        local_reports(tmp_path / "no", run_list=None, report_dir=tmp_path, batch=None)


def test_a_report_folder_that_cannot_be_made(logs: LogBuilder, tmp_path: Path) -> None:
    logs.through("a")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file is a file, not a folder"):
        local_reports(logs.root, run_list=None, report_dir=tmp_path / "file" / "x", batch=None)


# evidence


def test_an_outcome_outweighs_the_record(logs: LogBuilder) -> None:
    lost = (S.LOST, K.LOST, "node gone")
    for step in logs.steps:
        logs.dispatch(
            step, "a", outcomes={"a": outcome()}, ending=Ending(gone=True), states={"a": lost}
        )
    assert report(logs).counts.succeeded == 1


def test_an_outcome_of_another_attempt_counts_as_absent(logs: LogBuilder) -> None:
    made = logs.dispatch("score", "a", outcomes={"a": outcome()}, ending=KILLED)
    record = json.loads(made.record.read_text())
    record["attempts"][0] |= {"attempt": 2, "state": "failed", "kind": "out_of_memory"}
    made.record.write_text(json.dumps(record))
    assert report(logs).kinds == {K.OUT_OF_MEMORY: 1}


@pytest.mark.parametrize("damage", [b"", b'{"format": 1, "ba', b"\x00\xff", b"[]", b"{}"])
def test_a_damaged_outcome_is_told_and_the_record_goes(logs: LogBuilder, damage: bytes) -> None:
    for step in logs.steps:
        made = logs.succeed(step, "a")
    made.outcome("a").write_bytes(damage)
    summary = report(logs)
    assert summary.counts.succeeded == 1
    assert [Path(note.file).name for note in summary.notes] == ["a.json"]


@pytest.mark.parametrize("damage", [None, b"", b'{"format": 1, "batch": "b"', b"\x00", b"[1]"])
def test_a_damaged_record_falls_back_on_outcomes_and_names(
    logs: LogBuilder, damage: bytes | None
) -> None:
    logs.submit("a", "b", "c")
    logs.succeed("translate", "a")
    made = [
        logs.succeed("score", "a"),
        logs.crash("translate", "b", "sh: no such file: model\n", exit_code=127),
    ]
    for folder in made:
        folder.record.unlink()
        if damage is not None:
            folder.record.write_bytes(damage)
    summary = report(logs)
    assert listed(logs, "unique_success_item_names.txt") == ["a"]
    assert listed(logs, "silent_failures.txt") == ["b"]
    assert listed(logs, "not_run.txt") == ["c"]
    assert len(summary.notes) == 2


def test_a_record_damaged_in_part_still_tells_the_exit_code(logs: LogBuilder) -> None:
    made = logs.crash("translate", "a", "", exit_code=65)
    record = json.loads(made.record.read_text())
    record["claimed_at"], record["attempts"][0]["state"] = "soon", "exploded"
    made.record.write_text(json.dumps(record))
    assert report(logs).kinds == {K.BAD_INPUT: 1}


def test_a_damaged_batch_record_is_told(logs: LogBuilder) -> None:
    logs.submit("a")
    logs.through("a")
    (logs.folder / "batch.json").write_text('{"steps": 3}')
    summary = report(logs)
    assert summary.counts.succeeded == 1
    assert summary.notes[0].file == "b/batch.json"


def test_a_pack_with_an_unreadable_record_is_told(logs: LogBuilder) -> None:
    logs.submit("a", "b")
    made = logs.dispatch("translate", ["a", "b"], ending=KILLED)
    made.record.unlink()
    summary = report(logs)
    assert summary.counts.not_run == 2
    assert "nothing here says which items it carried" in {n.problem for n in summary.notes}


def test_links_and_devices_are_not_followed_and_told(logs: LogBuilder, tmp_path: Path) -> None:
    logs.submit("a")
    real = logs.dispatch("translate", "a", ending=Ending(exit_code=1))
    secret = tmp_path / "secret"
    secret.write_text("Traceback (most recent call last):\nValueError: secret\n")
    real.stream("worker", "stderr").unlink()
    real.stream("worker", "stderr").symlink_to(secret)
    elsewhere = LogBuilder(tmp_path / "elsewhere")
    elsewhere.through("a")
    shutil.rmtree(real.outcomes)
    real.outcomes.symlink_to(tmp_path)
    (logs.folder / "score").symlink_to(elsewhere.folder / "score")
    os.mkfifo(logs.folder / "translate" / "pipe")
    summary = report(logs)
    assert summary.kinds == {K.UNKNOWN: 1}
    assert {(Path(n.file).name, n.problem) for n in summary.notes} == {
        ("worker.stderr.0", "a symbolic link: not followed"),
        ("outcomes", "a symbolic link: not followed"),
        ("score", "a symbolic link: not followed"),
        ("pipe", "no file: not opened"),
    }
    assert "secret" not in (tmp_path / "report" / "messages.json").read_text()


# messages


def message(logs: LogBuilder, kind: K) -> dict[str, object]:
    return document(logs, "messages.json")[kind][0]


def test_a_failure_that_the_worker_told_points_at_its_line(logs: LogBuilder) -> None:
    made = logs.fail("translate", "a", K.MODEL_ERROR, "ValueError: no length\nand more")
    report(logs)
    assert message(logs, K.MODEL_ERROR) == {
        "item": "a",
        "job": "translate",
        "task": "worker",
        "file": str(made.stream("worker", "stderr").relative_to(logs.root)),
        "line": 2,
        "message": "ValueError: no length",
    }


def test_items_of_a_pack_have_their_own_messages(logs: LogBuilder) -> None:
    failures = {
        item: outcome(failure=Failure(kind=K.MODEL_ERROR, message=f"broken {item}"))
        for item in ("a", "b")
    }
    lines = [
        json.dumps({"level": "error", "event": "item failed", "item": item, "error": "x"})
        for item in ("b", "a")
    ]
    logs.dispatch(
        "translate", ["a", "b"], outcomes=failures, ending=Ending(exit_code=70),
        stderr="\n".join(lines),
    )  # fmt: skip
    summary = report(logs)
    found = document(logs, "messages.json")["model_error"]
    assert [(m["item"], m["line"], m["message"]) for m in found] == [
        ("a", 2, "broken a"),
        ("b", 1, "broken b"),
    ]
    assert [(g.count, g.error) for g in summary.groups] == [(2, "broken <item>")]


def test_a_crash_points_at_its_exception(logs: LogBuilder) -> None:
    logs.crash("translate", "a", 'Traceback (most recent call last):\n  File "x"\nKeyError: 3\n')
    summary = report(logs)
    assert (message(logs, K.UNKNOWN)["line"], message(logs, K.UNKNOWN)["message"]) == (
        3,
        "KeyError: 3",
    )
    assert summary.silent == 1  # by the evidence of its ending; the text is a hint


def test_a_last_line_is_not_passed_off_as_the_reason(logs: LogBuilder) -> None:
    logs.crash("translate", "a", "loading\nfinished with 0 errors\n\n", exit_code=3)
    report(logs)
    found = message(logs, K.UNKNOWN)
    assert found["line"] == 2
    assert found["message"] == (
        "exit code 3, no outcome and no reason; last line: finished with 0 errors"
    )


@pytest.mark.parametrize(
    ("ending", "kind", "words"),
    [
        (KILLED, K.OUT_OF_MEMORY, "out of memory, most likely"),
        (Ending(stop=StopReason.TIME_LIMIT), K.TIMEOUT, "stopped at its time limit"),
        (Ending(gone=True, detail="node-3 is down"), K.LOST, "node-3 is down"),
        (Ending(detail="image not found"), K.INFRASTRUCTURE, "image not found"),
    ],
)
def test_what_the_cluster_knows_outweighs_the_text(
    logs: LogBuilder, ending: Ending, kind: K, words: str
) -> None:
    text = "Traceback (most recent call last):\n  File\nTimeoutError: handled\n"
    logs.dispatch("translate", "a", ending=ending, stderr=text)
    report(logs)
    assert words in str(message(logs, kind)["message"])
    assert message(logs, kind)["line"] == 3  # where it had got to


def test_a_refused_dispatch_has_no_log_and_still_a_reason(logs: LogBuilder) -> None:
    made = logs.dispatch("translate", "a", states={"a": (S.FAILED, K.INFRASTRUCTURE, "refused: x")})
    shutil.rmtree(made.outcomes)
    for path in made.folder.glob("worker.*"):
        path.unlink()
    report(logs)
    found = message(logs, K.INFRASTRUCTURE)
    assert (found["message"], found["line"]) == ("refused: x", None)
    assert str(found["file"]).endswith("dispatch.json")


def test_only_the_attempt_that_decides_is_explained(logs: LogBuilder) -> None:
    logs.fail("translate", "a", K.MODEL_ERROR, "first")
    logs.fail("translate", "a", K.MODEL_ERROR, "second")
    logs.fail("translate", "b", K.MODEL_ERROR, "mended")
    logs.through("b")
    summary = report(logs)
    assert [g.error for g in summary.groups] == ["second"]
    assert rows(logs, "summary.csv")[0]["attempts"] == "2"


def test_failures_are_grouped_without_numbers_ids_and_paths(logs: LogBuilder) -> None:
    for number, item in enumerate(("a", "b", "c")):
        text = f"{item}: cannot allocate {number}.5 GiB for /tmp/x{number}/in.txt (0x7f{number})"
        logs.fail("translate", item, K.OUT_OF_MEMORY, text)
    logs.crash("translate", "d", "", exit_code=3)
    logs.crash("translate", "e", "", exit_code=4)
    summary = report(logs)
    assert [(g.count, g.item, g.error) for g in summary.groups] == [
        (3, "a", "<item>: cannot allocate <n> GiB for <path> (<hex>)"),
        (1, "d", "exit code 3, no outcome and no reason"),
        (1, "e", "exit code 4, no outcome and no reason"),
    ]
    assert sum(g.count for g in summary.groups) == summary.counts.failed


def ended_at(logs: LogBuilder, item: str, moment: object) -> None:
    """Say in the record of a crashed item's dispatch when that ended."""
    (path,) = logs.folder.glob(f"translate/*.{item}--*/dispatch.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ended_at": moment}))


def test_a_group_says_when_it_was_first_and_last_seen(logs: LogBuilder) -> None:
    for item, moment in (("a", 1_700_000_500.0), ("b", 1_700_000_000.0), ("c", 1_700_000_900.0)):
        logs.crash("translate", item, "", exit_code=3)
        ended_at(logs, item, moment)
    (group,) = report(logs).groups
    assert (group.first, group.last) == (1_700_000_000.0, 1_700_000_900.0)
    shown = datetime.fromtimestamp(1_700_000_000.0)
    assert f"{shown:%Y-%m-%d %H:%M} to " in printed(report(logs))


@pytest.mark.parametrize("moment", [None, 0, -5.0, 1e300])
def test_a_time_that_is_none_is_not_shown(logs: LogBuilder, moment: object) -> None:
    logs.crash("translate", "a", "", exit_code=3)
    ended_at(logs, "a", moment)
    (group,) = report(logs).groups
    assert (group.first, group.last) == (None, None)


# tables


def test_scores_are_averaged_only_when_all_are_there(logs: LogBuilder) -> None:
    logs.submit("a", "b", "none")
    logs.dispatch("translate", "none", outcomes={"none": outcome(no_data=True)}, ending=Ending())
    logs.through("b", scores={"bleu": 30.123456789012345, "chrf": 50})
    summary = report(logs)
    assert rows(logs, "scores.csv") == [
        {"item": "b", "bleu": "30.123456789012344", "chrf": "50.0"},
        {"item": "average", "bleu": "incomplete (1 of 2)", "chrf": "incomplete (1 of 2)"},
    ]
    assert "average bleu  incomplete (1 of 2)" in printed(summary)
    logs.through("a", scores={"bleu": 10.0, "chrf": 40.0})
    report(logs)
    assert rows(logs, "scores.csv")[-1] == {
        "item": "average",
        "bleu": repr((30.123456789012344 + 10.0) / 2),
        "chrf": "45.0",
    }
    assert read_scores(logs.root, None)["a"] == {"bleu": 10.0, "chrf": 40.0}


@pytest.mark.parametrize(
    "scores", [None, [], "x", {"bleu": "high"}, {"bleu": True}, {"bleu": 10**400}, {"bleu": None}]
)
def test_scores_that_are_none_are_left_out(logs: LogBuilder, scores: object) -> None:
    logs.through("a", scores=scores)
    assert report(logs).averages == {}


def signs(*flags: str, **counts: int) -> dict[str, object]:
    """What a scoring job tells of an item of ten sentences."""
    return {"sentences": 10, "empty": 0, "lengths_against": "", **counts, "flags": list(flags)}


def test_scores_by_language(logs: LogBuilder) -> None:
    logs.submit("a", "b", "c")
    logs.through("a", scores={"bleu": 30.5}, languages=["eng", "deu"])
    logs.through("b", scores={"bleu": 10.5}, languages=["=eng", "fra-CA"])
    report(logs)
    assert rows(logs, "matrix-bleu.csv") == [
        {"source": "'=eng", "deu": "", "fra-CA": "10.5"},
        {"source": "eng", "deu": "30.5", "fra-CA": ""},
    ]
    assert into(logs, "deu") == "incomplete (1 of 2)"  # c may go there, too
    logs.through("c", scores={"bleu": 1.5}, languages=["fra", "deu"])
    report(logs)
    assert into(logs, "deu") == "16.0"
    assert into(logs, "Germanic") is None
    assert into(logs, "Indo-European") is not None
    logs.through("a", "b", "c", scores={"../x": 1.0}, languages=["eng", ["deu"]])
    report(logs)
    left = {path.name for path in (logs.root.parent / "report").iterdir()}
    assert not {"matrix-bleu.csv", "averages.csv"} & left  # they tell of no language now
    assert not any(name.startswith("matrix") for name in left)


def into(logs: LogBuilder, group: str) -> str | None:
    found = [row for row in rows(logs, "averages.csv") if row["group"] == group]
    return next((row["average"] for row in found if row["way"] == "into"), None)


def test_suspicious_translations_are_told(logs: LogBuilder) -> None:
    copies = "40 % of the translations are copies of the source"
    logs.through("fine", scores={"bleu": 30.0}, suspicious=signs(empty=1))
    logs.through("odd", scores={"bleu": 3.0}, suspicious=signs(copies, copied=4))
    summary = report(logs)
    assert dict(summary.suspicious) == {"odd": (copies,)}
    assert summary.to_json()["suspicious"] == 1
    (row,) = rows(logs, "suspicious.csv")
    assert (row["item"], row["copied"], row["empty"], row["what"]) == ("odd", "4", "0", copies)
    said = printed(summary)
    assert "! suspicious translations in 1 item: see suspicious.csv" in said and copies in said
    logs.through("odd", scores={"bleu": 30.0}, suspicious=signs())
    again = printed(report(logs))
    assert "! suspicious" not in again
    assert not (logs.root.parent / "report" / "suspicious.csv").exists()


@pytest.mark.parametrize(
    "fact",
    [None, [], "x", {"flags": ["x"]}, signs("x", empty="many"), signs("x") | {"more": 1}],  # type: ignore[arg-type]
)
def test_suspicions_that_are_none_are_left_out(logs: LogBuilder, fact: object) -> None:
    logs.through("a", suspicious=fact)
    assert report(logs).suspicious == {}


def test_hostile_suspicions_are_harmless(logs: LogBuilder) -> None:
    logs.through("a", suspicious=signs(HOSTILE))
    screen = printed(report(logs))
    assert "\x1b" not in screen and "\u202e" not in screen
    assert rows(logs, "suspicious.csv")[0]["what"].startswith("'=cmd|")


def test_a_row_for_every_item(logs: LogBuilder) -> None:
    logs.submit("a", "b", "c")
    logs.through("a", scores={"bleu": 1.5})
    logs.fail("translate", "b", K.TIMEOUT, "too slow")
    report(logs)
    a, b, c = rows(logs, "summary.csv")
    assert (a["state"], a["step"], a["seconds"], a["score_bleu"]) == (
        "succeeded",
        "score",
        "2.5",
        "1.5",
    )
    assert (b["state"], b["kind"], b["reason"], b["line"]) == ("failed", "timeout", "too slow", "2")
    assert (c["state"], c["attempts"], c["dispatch"]) == ("not_run", "0", "")


HOSTILE = "=cmd|'/C calc'!A0,\"; \x1b]0;owned\x07\u202e\r\n<script>\x00"


def test_hostile_words_are_harmless_in_the_table_and_on_the_terminal(logs: LogBuilder) -> None:
    steps = ("translate",)
    logs = LogBuilder(logs.root, steps=steps)
    logs.dispatch(
        "translate",
        "a",
        states={"a": (S.FAILED, K.INFRASTRUCTURE, HOSTILE)},
        ending=Ending(detail=HOSTILE),
    )
    logs.succeed("translate", "ok", scores={"=1+1": 3.0, "\x1b[2J": 4.0})
    summary = report(logs)
    table = (logs.root.parent / "report" / "summary.csv").read_bytes()
    assert table.count(b"\r\n") == table.count(b"\n") == 3
    assert b"\x1b" not in table
    assert rows(logs, "summary.csv")[0]["reason"].startswith("'=cmd|")
    assert rows(logs, "scores.csv")[0].keys() == {"item", "'=1+1", r"\x1b[2J"}
    screen = printed(summary)
    assert not {c for c in screen if (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) <= 0x9F}
    assert "\u202e" not in screen


def test_hostile_folder_names_and_ids_are_harmless(logs: LogBuilder) -> None:
    logs.submit("a")
    made = logs.succeed("translate", "a")
    record = json.loads(made.record.read_text())
    record["attempts"].append({"item": "../../x", "attempt": 1, "state": "succeeded"})
    made.record.write_text(json.dumps(record))
    (logs.folder / "translate" / "evil\x1b[2J\udcff").mkdir()
    summary = report(logs)
    assert summary.counts.run_list == 1
    assert any("cannot be one" in note.problem for note in summary.notes)
    assert "\x1b" not in printed(summary)


# the printed summary


def test_the_printed_numbers_add_up_at_any_width(logs: LogBuilder) -> None:
    logs.submit(*(f"i{n:04}" for n in range(1200)))
    logs.through(*(f"i{n:04}" for n in range(1100)))
    for n in range(1100, 1103):
        logs.dispatch("translate", f"i{n:04}", ending=KILLED)
    summary = report(logs)
    for width in (40, 60, 80, 200):
        screen = printed(summary, width)
        assert screen.splitlines()[0] == "b  1,200 items  1,100 succeeded  3 failed  97 not run"
        assert "1,200 = 1,100 + 0 + 3 + 0 + 97" in screen
        assert "…" not in screen
    assert "3 x  out_of_memory" in screen
    assert "coordinator resubmit b --kind out_of_memory" in screen


def test_what_must_be_mended_is_not_just_run_again(logs: LogBuilder) -> None:
    logs.fail("translate", "a", K.MODEL_ERROR, "IndexError: 3")
    logs.fail("translate", "b", K.MODEL_ERROR, "IndexError: 3")
    logs.fail("translate", "c", K.TIMEOUT, "too slow")
    summary = report(logs)
    lines = printed(summary).splitlines()
    assert lines[-3:] == [
        "next     coordinator failures b --kind model_error",
        "         mend it, then: coordinator resubmit b --kind model_error",
        "         coordinator resubmit b --kind timeout",
    ]
    again = [f"coordinator resubmit b --kind {kind}" for kind in (K.MODEL_ERROR, K.TIMEOUT)]
    assert summary.to_json()["next_commands"] == again


def test_many_errors_and_notes_are_folded(logs: LogBuilder) -> None:
    for n in range(12):
        logs.fail("translate", f"i{n:02}", K.MODEL_ERROR, f"error {'x' * n}")
        (logs.folder / f"link{n}").symlink_to("/dev/zero")
    screen = printed(report(logs))
    assert "2 x  in 2 more errors: see messages.json" in screen
    assert "and 7 more that could not be used" in screen


def test_the_summary_is_plain_json(logs: LogBuilder) -> None:
    logs.submit("a", "b")
    logs.fail("translate", "a", K.MODEL_ERROR, HOSTILE)
    summary = report(logs)
    assert json.loads(json.dumps(summary.to_json())) == document(logs, "summary.json")
    assert summary.to_json()["counts"] == {
        "run_list": 2,
        "succeeded": 0,
        "early_exit": 0,
        "failed": 1,
        "still_running": 0,
        "not_run": 1,
    }


# resubmission


def test_the_failed_items_by_kind(logs: LogBuilder) -> None:
    logs.fail("translate", "b", K.MODEL_ERROR, "x")
    logs.fail("translate", "a", K.MODEL_ERROR, "x")
    logs.dispatch("translate", "c", ending=KILLED)
    summary = report(logs)
    for source in (summary, logs.root.parent / "report"):
        assert items_to_resubmit(source) == ["a", "b", "c"]
        assert items_to_resubmit(source, [K.OUT_OF_MEMORY]) == ["c"]
        assert items_to_resubmit(source, [K.OUT_OF_MEMORY, K.MODEL_ERROR]) == ["a", "b", "c"]
        assert items_to_resubmit(source, [K.LOST]) == []


def test_a_folder_without_a_report(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no report"):
        items_to_resubmit(tmp_path)


# all numbers, over random histories

ENDS = st.sampled_from(
    ["ok", "no_data", "failed", "killed", "silent", "out", "returned", "stopped", "lost", "torn"]
)
HISTORIES = st.lists(
    st.lists(st.tuples(st.sampled_from(["translate", "score"]), ENDS), max_size=4), max_size=6
)


def play(logs: LogBuilder, item: str, step: str, end: str) -> None:
    """One attempt that ends so."""
    kinds = {"failed": outcome(failure=Failure(kind=K.MODEL_ERROR, message="x"))}
    outcomes = {"ok": outcome(), "no_data": outcome(no_data=True), **kinds}
    endings = {
        "killed": KILLED,
        "silent": Ending(exit_code=0),
        "stopped": Ending(stop=StopReason.ASKED),
        "lost": Ending(gone=True),
        "out": None,
    }
    made = logs.dispatch(
        step,
        item,
        outcomes={item: outcomes[end]} if end in outcomes else {},
        ending=endings.get(end, Ending(exit_code=0)),
        states={item: (S.RETURNED, None, "given back")} if end == "returned" else None,
    )
    if end == "torn":
        made.record.write_bytes(made.record.read_bytes()[:-40])


@settings(max_examples=40, deadline=None)
@given(histories=HISTORIES, strangers=st.integers(0, 2))
def test_the_numbers_add_up_whatever_happened(
    tmp_path_factory: pytest.TempPathFactory,
    histories: list[list[tuple[str, str]]],
    strangers: int,
) -> None:
    logs = LogBuilder(tmp_path_factory.mktemp("history") / "logs")
    ids = [f"i{n}" for n in range(len(histories))]
    logs.submit(*ids, "idle")
    for n in range(strangers):
        play(logs, f"stranger{n}", "translate", "ok")
    for item, history in zip(ids, histories, strict=True):
        for step, end in history:
            play(logs, item, step, end)
    summary = report(logs)
    parts = [
        listed(logs, name)
        for name in (
            "unique_success_item_names.txt",
            "early_exit.txt",
            "unique_fail_item_names.txt",
            "still_running.txt",
            "not_run.txt",
        )
    ]
    everyone = sorted(item for part in parts for item in part)
    assert everyone == listed(logs, "sorted-run-list.txt") == sorted([*ids, "idle"])
    assert summary.counts.total == summary.counts.run_list == len(everyone)
    assert sum(summary.kinds.values()) == summary.counts.failed == len(parts[2])
    assert sum(group.count for group in summary.groups) == summary.counts.failed
    assert set(listed(logs, "silent_failures.txt")) <= set(parts[2])
    assert [row["item"] for row in rows(logs, "summary.csv")] == everyone
    assert summary.outside == strangers
