"""The table of verbs names the module of each: only that one is imported."""

import json
from pathlib import Path

import pytest
from cyclopts import App

import coordinator.cli
from coordinator.cli import main
from coordinator.cli.app import app_of, contents, whole_app
from coordinator.cli.contents import HOMES
from tests.fakes import HandClock
from tests.ledgers import make_batch


def test_every_module_of_verbs_is_in_the_table() -> None:
    folder = Path(coordinator.cli.__file__).parent
    assert set(HOMES) == {path.stem for path in folder.glob("verbs_*.py")}


@pytest.mark.parametrize("module", HOMES)
def test_a_module_has_the_verbs_that_the_table_says(module: str) -> None:
    assert {verb for verb in app_of(module) if not verb.startswith("-")} == set(HOMES[module])


def test_the_page_of_all_verbs_says_what_their_own_pages_say(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def page(app: App) -> str:
        app(["--help"], exit_on_error=False)
        return capsys.readouterr().out

    assert page(contents()) == page(whole_app())
    assert all(verb in page(contents()) for verbs in HOMES.values() for verb in verbs)


@pytest.mark.parametrize(
    "line, said, hint",
    [
        (["statsu"], "there is no verb 'statsu'", "did you mean status?"),
        (["x\x1b[2J"], "there is no verb", "coordinator --help"),
        (["--batch", "b", "status"], "a verb is missing before --batch", "coordinator --help"),
    ],
)
def test_what_is_no_verb_is_said(
    line: list[str], said: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*line, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert said in error["message"] and hint in error["hint"]
    assert "\x1b" not in error["message"]


def test_a_batch_in_place_of_a_verb_is_told_from_a_typo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_batch(tmp_path, HandClock(), name="first")
    monkeypatch.setenv("COORDINATOR_STATE_DIR", str(tmp_path / "state"))
    assert main(["first"]) == 2
    said = capsys.readouterr().err
    assert said == "error: first is a batch, not a verb\n  try   coordinator status first\n"
    assert main(["second"]) == 2
    assert "there is no verb 'second'" in capsys.readouterr().err
    monkeypatch.setenv("COORDINATOR_SLOTS", "many")  # settings that cannot be used
    assert main(["first"]) == 2
    assert "there is no verb 'first'" in capsys.readouterr().err
