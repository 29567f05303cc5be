"""A shell completes verbs, flags, kinds and the names in the ledgers, fast enough for TAB."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pexpect
import pytest

from coordinator.clock import SystemClock
from coordinator.domain.items import WorkItem
from coordinator.ledger import Ledger

BIN = Path(sys.executable).parent
MANY = [f"flores-devtest-{a}-{b}" for a in ("deu", "eng", "fra") for b in range(100)]

NINETIES = [f"flores-devtest-eng-9{n}" for n in range(10)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ledgers of three batches, and the script of each shell."""
    folder = tmp_path_factory.mktemp("shell")
    batches = {"my-batch": ["eng-fra", "eng-deu", "fra-spa"], "my-other": ["x"], "many": MANY}
    for name, ids in batches.items():
        languages = {"mt:source_language": "eng", "mt:target_language": "fra"}
        items = [(WorkItem(item, properties=languages), "") for item in ids]
        with closing(Ledger.create(folder / "state" / name, SystemClock(), {}, items)):
            pass
    for shell in ("bash", "zsh", "fish"):
        script = coordinator(folder, "completion", shell)
        (folder / f"completion.{shell}").write_text(script)
    return folder


def environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COORDINATOR_")}
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "COORDINATOR_STATE_DIR": str(folder / "state")}


def coordinator(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [BIN / "coordinator", *words],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def completed(folder: Path, *words: str) -> list[str]:
    """What a real bash offers in place of the last of these words."""
    quoted = " ".join(f"'{word}'" for word in ("coordinator", *words))
    line = (
        f"source completion.bash; COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _coordinator;"
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", line],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["fail"], ["failures"]),
        (["status", ""], ["many", "my-batch", "my-other"]),
        (["why", "my-b"], ["my-batch"]),
        (["why", "my-batch", "eng"], ["eng-deu", "eng-fra"]),
        (["resubmit", "my-batch", "eng-fra", "fra"], ["fra-spa"]),
        (["compare", "my-batch", "my"], ["my-batch", "my-other"]),
        (["purge", "--batch_name", "my-o"], ["my-other"]),
        (["resubmit", "my-batch", "--kind", "t"], ["timeout"]),
        (["explain", "out"], ["out_of_memory"]),
        (["show", "my-batch", "eng-fra", "--low"], ["--lowest"]),
        (["test-handler", "x", "--source_language", ""], ["eng", "fra"]),
        (["show", "many", "flores"], [f"flores-devtest-{a}-" for a in ("deu", "eng", "fra")]),
        (["show", "many", "flores-devtest-eng-9"], ["flores-devtest-eng-9", *NINETIES]),
        (["why", "none", "x"], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and len(value) < 6 else "",
)
def test_bash_offers_what_there_is(
    folder: Path, words: Sequence[str], offered: Sequence[str]
) -> None:
    assert completed(folder, *words) == list(offered)


def test_a_person_who_presses_tab_gets_the_name(folder: Path) -> None:
    bash = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile", "-i"],
        cwd=str(folder),
        env={**environment(folder), "PS1": "ready> ", "TERM": "dumb"},
        encoding="utf-8",
        timeout=30,
    )
    bash.expect("ready> ")
    bash.sendline("source completion.bash; echo is-$((1+1))")
    bash.expect("is-2")
    bash.send("coordinator why my-b\t")
    bash.expect("my-batch ")
    bash.send("fra\t")
    bash.expect("fra-spa ")
    bash.close(force=True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_one_that_the_shell_can_read(shell: str, folder: Path) -> None:
    script = folder / f"completion.{shell}"
    assert "__complete" in script.read_text()
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    subprocess.run([shell, "-n", script], check=True)


def test_it_is_put_where_the_shell_looks(folder: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "coordinator", "completion", "bash", "--install"],
        env={**environment(folder), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    path = tmp_path / ".local/share/bash-completion/completions/coordinator"
    assert str(path) in done.stdout and "complete -F" in path.read_text()


def test_names_come_at_once_and_without_what_takes_long_to_import(folder: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(5):
        assert "eng-fra" in coordinator(folder, "__complete", "why", "my-batch", "")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 5
    print(f"{seconds:.3f} s of the processor")
    assert seconds < 0.15
    code = (
        "import sys; from coordinator.cli import main; main(['__complete', 'why', 'my-batch', '']);"
        "heavy = {'cyclopts', 'pydantic', 'rich', 'coordinator.settings'} & set(sys.modules);"
        "sys.exit(' '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment(folder), check=True)


@pytest.mark.parametrize(
    "harm", ["not a ledger", "no folder", "a settings file that is none", "nobody's home"]
)
def test_whatever_is_wrong_nothing_is_offered_and_nothing_is_said(
    harm: str, folder: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    if harm == "not a ledger":
        (state / "b").mkdir(parents=True)
        (state / "b/ledger.db").write_text("no")
    if harm == "a settings file that is none":
        (tmp_path / "settings.yml").write_bytes(b"\xff\xfe")
    done = subprocess.run(
        [BIN / "coordinator", "__complete", "why", "b", ""],
        cwd=tmp_path,
        env={
            **environment(folder),
            "COORDINATOR_STATE_DIR": "~nobody-here/x" if harm == "nobody's home" else str(state),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("\n\x1fbegin\n", "")


def test_the_settings_file_says_where_the_ledgers_are(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.yml").write_text(f"log_dir: x\nstate_dir: {folder / 'state'}  # here\n")
    without = {k: v for k, v in environment(folder).items() if k != "COORDINATOR_STATE_DIR"}
    done = subprocess.run(
        [BIN / "coordinator", "__complete", "why", "my-b"],
        cwd=tmp_path,
        env=without,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["begin", "my-batch"]  # \x1f counts as space
