"""Each verb's help opens with examples, and each example does what it says."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cyclopts import App

from coordinator.cli import main
from coordinator.cli.app import whole_app
from coordinator.cli.moments import MOMENTS
from coordinator.cli.verb import examples_of
from tests.acceptance.test_docs import environment
from tests.support import REPOSITORY

# Exit codes other than 0.
EXIT_CODES = {
    "coordinator submit --batch_name my-batch --resume": 1,  # one of its items has failed
    "coordinator status my-batch --watch --exit any,failed,1 --exit all,done,0": 1,
    "coordinator rescore my-batch": 1,  # and is left alone
    "coordinator report my-batch --format junit --out my-batch.xml --exit_code": 1,  # so it says
}
SCORINGS = (
    "coordinator score --predictions outputs/my-other-batch --references references "
    "--metrics bleu,chrf++",
    "coordinator score --predictions outputs/my-other-batch --references references "
    "--processes 2 --json",
)
# What has to be done before, for an example to make sense.
BEFORE = {
    "coordinator model-manifest models/mine --check": "coordinator model-manifest models/mine",
    "coordinator rebuild-ledger my-batch --output_root outputs": "coordinator rm my-batch",
    "coordinator report --log_dir local-logs --run_list inputs/test-run.txt": (
        "coordinator rm my-other-batch"  # it is about the only batch there
    ),
    "coordinator report --log_dir their-logs --rules inputs/rules/fim-pipeline.yml": (
        "d='their-logs/fim/pipeline/dispatch-[batch_name=fim,aoi_name=a1]-1700000000-0123abcd';"
        ' mkdir -p "$d"; echo "Pipeline SUCCESS: 1/1" > "$d/coordinator.stderr.0"'
    ),
    **dict.fromkeys(
        SCORINGS,
        "mkdir references; for l in deu fra spa; do"
        " cp inputs/demo/text/$l.devtest references/$l.txt; done",
    ),
}
# Examples that are not run, and why.
NOT_RUN: dict[str, str] = {
    "coordinator completion fish --install": "writes to the home folder; see test_completion.py",
    "coordinator metrics --serve 9101": "it ends with Ctrl-C; see test_metrics_command.py",
    "coordinator tensorboard my-batch --port 0": "it ends with Ctrl-C; see test_tensorboard.py",
    "coordinator register-jobs my-batch --pipeline inputs/pipelines/translate-and-score.yml "
    "--job_vars job_defs/local.vars --dry-run": "needs a Nomad; see test_job_files.py",
    "coordinator debug my-batch eng-fra": "nobody works on the item; see test_debug.py",
    "coordinator debug my-batch eng-fra --pdb": "nobody works on the item; see test_debug.py",
    "coordinator credentials my-batch": "the batch is finished; see test_credentials.py",
}


def verbs(parent: App, *path: str) -> Iterator[tuple[str, Callable[..., int]]]:
    """Each verb as it is typed, with its function."""
    for name in parent:
        if not name.startswith("-"):
            verb = parent[name]
            if verb.default_command is not None:
                yield " ".join([*path, name]), verb.default_command
            yield from verbs(verb, *path, name)


VERBS = dict(verbs(whole_app()))
EXAMPLES = [example for function in VERBS.values() for example in examples_of(function)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the examples speak of, with two batches that were run in it.

    The lexicon stands in for the demo's model: all goes the same way, in a tenth of the time.
    """
    folder = tmp_path_factory.mktemp("help") / "eval"
    shutil.copytree(REPOSITORY / "inputs", folder / "inputs")
    shutil.rmtree(folder / "inputs/demo/model")
    shutil.copytree(REPOSITORY / "inputs/models/lexicon", folder / "inputs/demo/model")
    shutil.copytree(folder / "inputs/demo/faulty-model", folder / "models/mine")
    shutil.copytree(folder / "inputs/demo/model", folder / "models/mine/model")
    (folder / "items.ndjson").write_text("".join(items(folder / "inputs/demo/text")))
    from_text = "coordinator items from-text inputs/demo/text --split devtest --out items"
    assert do(folder, f"{from_text} --collection demo") == 0
    fault = folder / "models/mine/fault.json"
    fault.write_text('{"source": "fra", "target": "spa", "sentence": 1}')
    submit = (
        "coordinator submit --pipeline inputs/demo/pipeline.yml --catalog items.ndjson"
        " --model models/mine --batch_name"
    )
    assert do(folder, f"{submit} my-batch") == 1
    fault.unlink()
    assert do(folder, f"{submit} my-other-batch") == 0
    shutil.copytree(folder, folder.with_name("kept"), symlinks=True)
    return folder


@pytest.fixture
def folder(prepared: Path) -> Path:
    """The prepared folder as it was, whatever another example did to it."""
    shutil.rmtree(prepared)
    shutil.copytree(prepared.with_name("kept"), prepared, symlinks=True)
    return prepared


@pytest.mark.parametrize("verb", VERBS)
def test_help_opens_with_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.split(), "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Examples:\n")
    shown = " ".join(printed.split())
    examples = examples_of(VERBS[verb])
    assert examples
    assert all(example in shown for example in examples)
    assert all(example.startswith(f"coordinator {verb}") for example in examples)


def test_verbs_stand_below_the_moments_of_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    titles = re.findall(r"╭─ (.+?) ─+╮", capsys.readouterr().out)
    assert titles == [*MOMENTS]


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_does_what_it_says(example: str, folder: Path) -> None:
    if example in NOT_RUN:
        pytest.skip(NOT_RUN[example])
    if example in BEFORE:
        assert do(folder, BEFORE[example]) == 0
    assert do(folder, example) == EXIT_CODES.get(example, 0)


def test_tables_speak_of_examples_that_there_are() -> None:
    assert {*EXIT_CODES, *BEFORE, *NOT_RUN} <= set(EXAMPLES)


def items(text: Path) -> Iterator[str]:
    """Three directions with short ids, one JSON document a line."""
    for source, target in (("eng", "fra"), ("eng", "deu"), ("fra", "spa")):
        properties = {"mt:source_language": source, "mt:target_language": target}
        assets = {
            "source": {"href": str(text / f"{source}.devtest")},
            "reference": {"href": str(text / f"{target}.devtest")},
        }
        document = {"id": f"{source}-{target}", "properties": properties, "assets": assets}
        yield json.dumps(document) + "\n"


def do(folder: Path, command: str) -> int:
    """Run a command line in the folder; its exit code. What it printed is shown on failure."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(f"$ {command}\n{done.stdout}exit code {done.returncode}")
    return done.returncode
