"""The documentation does what it says: its commands are run, its links followed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from coordinator.errors import ExitCode
from coordinator.pipelines.pipeline import all_keys
from coordinator.settings import Settings
from tests.doc_blocks import Block, Command, anchors, blocks, links, shows
from tests.support import REPOSITORY

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
ALL_MARKDOWN = [
    *REPOSITORY.glob("*.md"),
    *(REPOSITORY / "docs").rglob("*.md"),
    *(REPOSITORY / "inputs").rglob("*.md"),
    *(REPOSITORY / "local-cluster").rglob("*.md"),
]
# Their command lines stand in blocks without a language, some with words to fill in: not run yet.
NOT_FENCED_YET = {
    "docs/interpreting-reports.md",
    "docs/item-format.md",
}
READERS_FOLDER = "/home/me/eval"  # what the documents call the folder that the commands run in
_LOOKS_LIKE_A_COMMAND = re.compile(r"^(\$ |coordinator |make |python )", re.MULTILINE)
_VARYING = [
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "00:00:00"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+Z"), "0000-00-00T00:00:00Z"),
    (re.compile(r"\b\d{8}-\d\d\b"), "00000000-00"),
]


def named(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like a fresh checkout, to work in."""
    work = tmp_path / "eval"
    for name in ("inputs", "tools", "docs"):
        shutil.copytree(
            REPOSITORY / name, work / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    return work


@pytest.mark.timeout(600)
@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_commands_do_what_the_document_shows(document: Path, folder: Path) -> None:
    for block in blocks(document):
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
        elif block.is_commands and not block.not_run:
            run_block(block, folder)


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_command_line_is_where_it_is_run(document: Path) -> None:
    for block in blocks(document):
        if not block.is_commands and not block.file and named(document) not in NOT_FENCED_YET:
            found = _LOOKS_LIKE_A_COMMAND.search(block.text)
            assert not found, f"{block.where}: fence it as sh or console, so that it is run"
        if block.is_commands:
            assert list(block.commands()), f"{block.where} holds no command"
            assert not block.note or block.not_run or block.output_varies, block.where


@pytest.mark.parametrize("document", ALL_MARKDOWN, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    for target in links(document):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        goal = document.parent / path if path else document
        assert goal.exists(), f"{named(document)} links to {target}"
        assert not anchor or anchor in anchors(goal), f"{named(document)} links to {target}"


def test_every_setting_is_in_the_guide() -> None:
    guide = (REPOSITORY / "docs/batch-run-guide.md").read_text()
    for name in Settings.model_fields:
        assert f"| `{name}` | `COORDINATOR_{name.upper()}` |" in guide


def test_every_key_of_a_pipeline_is_in_its_document() -> None:
    document = (REPOSITORY / "docs/pipeline-format.md").read_text()
    words = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`\n]+)`", document))))
    assert all_keys() <= words


def test_every_exit_code_is_in_the_guide() -> None:
    guide = (REPOSITORY / "docs/batch-run-guide.md").read_text()
    assert all(f"\n| {int(code)} | " in guide for code in ExitCode)


def run_block(block: Block, folder: Path) -> None:
    """Run the block's commands as a reader would: one after the other in one folder."""
    code = 0
    commands = list(block.commands())
    for command, following in zip(commands, [*commands[1:], None], strict=True):
        printed, code = run(command, folder, code)
        told = f"{block.where}\n$ {command.line}\n"
        if not (following and following.asks_for_exit_code):
            assert code == 0, f"{told}exit code {code}\n{printed}"
        if command.output is not None:
            assert shows(unvarying(command.output), unvarying(printed)), f"{told}prints\n{printed}"


def run(command: Command, folder: Path, last_code: int = 0) -> tuple[str, int]:
    """What a command prints, with the folder as the documents call it, and its exit code."""
    done = subprocess.run(
        ["bash", "-c", f"(exit {last_code}); {command.line}"],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    printed = done.stdout.replace(str(folder), READERS_FOLDER)
    return printed.replace(f"{READERS_FOLDER}/.state", "/home/me/.local/state"), done.returncode


def environment(folder: Path) -> dict[str, str]:
    """Two cores, a terminal of 100 columns without colours, none of the tester's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COORDINATOR_")}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **kept,
        "PATH": programs,
        "COORDINATOR_SLOTS": "2",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "XDG_STATE_HOME": str(folder / ".state"),
    }


def unvarying(text: str) -> str:
    """The text without what differs from run to run: the time of day."""
    for pattern, replacement in _VARYING:
        text = pattern.sub(replacement, text)
    return text
