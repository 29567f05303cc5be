"""Logs that are not what they seem: copied, cut, of another system, or in nobody's hands."""

import json
import os
import shutil
from pathlib import Path

import pytest

from coordinator.cli import main
from coordinator.domain.states import FailureKind
from coordinator.reports import Summary, local_reports
from coordinator.reports.item_log import ItemLog
from coordinator.reports.render import render
from coordinator.reports.resources import series_of
from coordinator.reports.rules import Rules, read_rules
from coordinator.reports.tree import Tree
from tests.log_trees import LogBuilder
from tests.support import REPOSITORY

FIM = REPOSITORY / "inputs/rules/fim-pipeline.yml"


@pytest.fixture
def logs(tmp_path: Path) -> LogBuilder:
    return LogBuilder(tmp_path / "logs")


def report_of(root: Path, rules: Rules | None = None, run_list: Path | None = None) -> Summary:
    folder = root.parent / "report"
    return local_reports(root, run_list=run_list, report_dir=folder, batch=None, rules=rules)


def listed(root: Path, name: str) -> list[str]:
    return (root.parent / "report" / name).read_text().split()


# records


@pytest.mark.parametrize("broken", [False, True])
def test_a_record_of_another_dispatch_says_nothing_of_this_one(
    logs: LogBuilder, broken: bool
) -> None:
    """It was copied there by hand, say: the item was translated, and never scored."""
    logs.submit("x")
    made = logs.succeed("translate", "x")
    copied = logs.folder / "score" / made.folder.name.replace("translate", "score")
    copied.mkdir(parents=True)
    document = json.loads(made.record.read_bytes())
    if broken:
        document["attempts"].append("no attempt")
    (copied / "dispatch.json").write_text(json.dumps(document))
    summary = report_of(logs.root)
    assert summary.counts.succeeded == 0
    assert any("is of another dispatch" in note.problem for note in summary.notes)


def test_a_folder_that_went_away_costs_a_note(logs: LogBuilder) -> None:
    """While it was read, or because it may not be read: the other items have their report."""
    from coordinator.reports.explain import _streams

    logs.submit("x")
    gone = logs.crash("translate", "x", "Traceback\n").folder
    shutil.rmtree(gone)
    tree = Tree(logs.root)
    assert list(_streams(tree, gone, None)) == []
    assert [note.problem for note in tree.notes] == ["no such file or directory"]


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
def test_a_folder_that_may_not_be_read_costs_a_note(logs: LogBuilder) -> None:
    logs.submit("x", "y")
    logs.through("y")
    shut = logs.crash("translate", "x", "Traceback\n").folder
    report_of(logs.root)  # all is imported: the other user may not read the interpreter's folders
    shut.chmod(0)
    for folder in logs.root.parents:
        if folder.stat().st_mode & 0o011 != 0o011:
            folder.chmod(folder.stat().st_mode | 0o011)
    shutil.rmtree(logs.root.parent / "report")
    logs.root.parent.chmod(0o777)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        code = 1
        try:
            summary = report_of(logs.root)
            list(series_of(Tree(logs.root), logs.folder))
            code = 0 if summary.counts.succeeded == 1 and summary.counts.run_list == 2 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("item", [["a"], {"a": 1}, None, 3])
def test_a_line_of_the_models_own_ends_no_item(item: object) -> None:
    log = ItemLog("a", ["a", "b"], only_model=False)
    own = {"event": "item done", "level": "info", "item": item}
    shown = [text for line in (json.dumps(own), "still at it") for text in log.feed(line)]
    assert "still at it" in shown
    assert not log.ended


# another system's logs


def folder_of(root: Path, item: str, time: int, *lines: str) -> None:
    folder = root / "pipeline" / f"dispatch-[batch_name=b,aoi_name={item}]-{time}-0123abcd"
    folder.mkdir(parents=True)
    (folder / "coordinator.stderr.0").write_text("".join(f"{line}\n" for line in lines))


def test_an_item_with_a_comma_is_an_item_of_its_own(tmp_path: Path) -> None:
    root = tmp_path / "b"
    folder_of(root, "a,c", 1_699_999_999, "2024-01-01 00:00:00 ERROR Pipeline FAILED")
    good = "2024-01-01 00:00:00 INFO Pipeline SUCCESS: 2/2 scenarios completed"
    folder_of(root, "a,b", 1_700_000_000, good)
    summary = report_of(root, read_rules(FIM))
    assert (summary.counts.succeeded, summary.counts.failed) == (1, 1)
    assert listed(root, "unique_success_item_names.txt") == ["a,b"]
    assert listed(root, "unique_fail_item_names.txt") == ["a,c"]


@pytest.mark.parametrize("time", ["0001-01-01 00:00:00", "9999-12-31 23:59:59"])
def test_a_time_that_cannot_be_is_no_time(tmp_path: Path, time: str) -> None:
    root = tmp_path / "b"
    folder_of(root, "a", 1_700_000_000, f"{time} ERROR Pipeline FAILED")
    summary = report_of(root, read_rules(FIM))
    assert summary.counts.failed == 1
    assert "a" in str(render(summary))


def test_rules_that_do_not_fit_are_said_and_the_report_stays(
    logs: LogBuilder, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.submit("x")
    logs.through("x")
    report_of(logs.root)
    before = listed(logs.root, "unique_success_item_names.txt")
    flags = ["--log_dir", str(logs.root), "--report_dir", str(logs.root.parent / "report")]
    for more in ([], ["--exit_code"]):
        assert main(["report", *flags, "--rules", str(FIM), *more]) == 2
    said = capsys.readouterr().err
    assert "the rules do not fit" in said and "the coordinator's own logs" in said
    assert "leave out --rules" in said
    assert listed(logs.root, "unique_success_item_names.txt") == before == ["x"]


def test_lists_of_an_earlier_report_do_not_stay(tmp_path: Path) -> None:
    root = tmp_path / "b"
    folder_of(root, "a", 1_700_000_000, "2024-01-01 00:00:00 ERROR Pipeline FAILED")
    report_of(root, read_rules(FIM))
    assert listed(root, "unique_fail_aoi_names.txt") == ["a"]
    (tmp_path / "report" / "notes.txt").write_text("mine")
    logs = LogBuilder(tmp_path / "logs")
    logs.submit("x")
    logs.through("x")
    report_of(logs.root)
    left = {path.name for path in (tmp_path / "report").iterdir()}
    assert "unique_fail_aoi_names.txt" not in left and "notes.txt" in left


@pytest.mark.parametrize(
    "said", ["[]", "{", '{"files": 3}', '{"files": ["../kept.txt", "/kept.txt", 3]}']
)
def test_nothing_but_files_of_a_report_is_removed(logs: LogBuilder, said: str) -> None:
    logs.submit("x")
    logs.through("x")
    kept = logs.root.parent / "kept.txt"
    kept.write_text("mine")
    (logs.root.parent / "report").mkdir()
    (logs.root.parent / "report" / "summary.json").write_text(said)
    report_of(logs.root)
    assert kept.read_text() == "mine"


# how they are named, and ledgers beside them


def test_a_link_to_the_batchs_own_folder_is_that_folder(
    logs: LogBuilder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.submit("x")
    logs.through("x")
    monkeypatch.chdir(logs.root.parent)
    Path("latest").symlink_to(logs.folder)
    assert main(["report", "--log_dir", "latest", "--json"]) == 0
    monkeypatch.chdir(logs.folder)
    assert main(["report", "--log_dir", ".", "--report_dir", "../r", "--json"]) == 0
    capsys.readouterr()


def test_logs_that_are_named_need_no_ledger_that_can_be_read(
    logs: LogBuilder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.submit("x", "y")
    logs.through("x")
    logs.fail("translate", "y", FailureKind.MODEL_ERROR, "no length")
    monkeypatch.chdir(logs.root.parent)
    Path("state/b").mkdir(parents=True)
    Path("state/b/ledger.db").write_bytes(b"no ledger" * 1000)
    flags = ["b", "--state_dir", "state"]
    assert main(["report", *flags]) == 3
    assert "--log_dir" in capsys.readouterr().err
    assert main(["report", *flags, "--log_dir", "logs", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["report"]["counts"]
    assert (counts["succeeded"], counts["failed"]) == (1, 1)
    assert main(["report", *flags, "--log_dir", "logs", "--format", "csv"]) == 0
