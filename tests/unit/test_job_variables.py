"""What is known of job files without a Nomad: their names, IDs of parents, GPUs that were given."""

import itertools
from pathlib import Path

import pytest

from coordinator.cluster.nomad.hcl import assigned_names, assignments, declared_names, literal
from coordinator.cluster.nomad.job_files import (
    OWN_VARIABLES,
    SourceText,
    read_source,
    shipped_job_file,
    variable_problems,
    variables_text,
)
from coordinator.cluster.nomad.parents import parent_id
from coordinator.domain.names import batch_name_problem, step_name_problem
from coordinator.errors import BadInput
from coordinator.workers.devices import use_given_devices
from tests.support import REPOSITORY

JOBS = ["inference", "scoring", "command"]
JOB_FILE = SourceText("j.hcl", 'variable "image" {}\nvariable gpus {\n}\n# variable "no" {}\n')

VARS = """\
# image = "comment"   // and
image = "a # b = c" /* tag = 1
  cpu = 3 */ environment = {
  namespace = "inner"
}
list = [
  "x = {",
]
script = <<EOT
region = "text"
EOT
count=2
"""


def test_names_that_a_file_sets_are_found_with_their_lines() -> None:
    found = [("image", 2), ("environment", 3), ("list", 6), ("script", 9), ("count", 12)]
    assert list(assigned_names(VARS)) == found


def test_literals_hold_no_template_and_no_second_line() -> None:
    hostile = 'a"\n${b} %{ if c } \\ \u2028 \x00 é 日本'
    written = literal({hostile: [hostile, True, 3]})
    assert "${" not in written and "%{" not in written and len(written.splitlines()) == 1
    assert written.count('"') - written.count('\\"') == 4
    assert list(assigned_names(assignments({"x": {hostile: hostile}}))) == [("x", 1)]


def test_declared_variables_are_found() -> None:
    assert declared_names(JOB_FILE.text) == {"image", "gpus"}


def test_names_that_are_not_the_users_are_said_with_what_to_do() -> None:
    users = SourceText("my.vars", 'imge = "x"\ngpus = 3\nimage = "y"\n')
    problems = [str(p) for p in variable_problems(JOB_FILE, users, {"gpus"})]
    assert problems == [
        "my.vars:1: j.hcl declares no variable 'imge' (did you mean image?)",
        "my.vars:2: gpus is set by the coordinator (use resources.gpus of the step)",
    ]


def test_lines_of_the_user_keep_their_numbers() -> None:
    text = variables_text(JOB_FILE, SourceText("", 'image = "y"'), {"gpus": 1, "unknown": 2})
    assert text == 'image = "y"\ngpus = 1\n'


@pytest.mark.parametrize("job", JOBS)
def test_shipped_files_differ_in_their_names_only(job: str) -> None:
    text = shipped_job_file(job).read_text()
    common = shipped_job_file("inference").read_text()
    assert text.partition("\n")[2].replace(f'"{job}"', '"inference"') == common.partition("\n")[2]
    assert set(OWN_VARIABLES) <= declared_names(text)


@pytest.mark.parametrize("name", ["local", "test"])
def test_shipped_variables_fit_the_shipped_files(name: str) -> None:
    users = read_source(REPOSITORY / f"job_defs/{name}.vars")
    job_file = read_source(shipped_job_file("inference"))
    assert list(variable_problems(job_file, users, set(OWN_VARIABLES))) == []


def test_no_two_parents_share_an_id() -> None:
    batches, steps = ["a", "a.b", "a_b", "a-b", "a-m1"], ["s", "s-m1", "m1", "s_m1"]
    assert not any(map(batch_name_problem, batches)) and not any(map(step_name_problem, steps))
    ids = [parent_id(*each) for each in itertools.product(batches, steps, [0, 1, 11])]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 1_000_001])
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "job.hcl"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"job\.hcl"):
        read_source(path)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"NVIDIA_VISIBLE_DEVICES": "GPU-1,GPU-2"}, "GPU-1,GPU-2"),
        ({"NVIDIA_VISIBLE_DEVICES": "GPU-1", "CUDA_VISIBLE_DEVICES": "0"}, "0"),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, None),
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, None),
        ({}, None),
    ],
)
def test_given_gpus_are_what_cuda_sees(given: dict[str, str], shown: str | None) -> None:
    environment = dict(given)
    use_given_devices(environment)
    assert environment.get("CUDA_VISIBLE_DEVICES") == shown
