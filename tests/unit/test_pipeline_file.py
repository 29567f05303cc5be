"""The pipeline file: what is legal in it, and every fault with its line and what was meant."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from coordinator.domain.states import FailureKind
from coordinator.errors import ExitCode, PipelineError
from coordinator.metrics import parse_metrics
from coordinator.pipelines import Pipeline, RetryRule, read_pipeline
from tests.support import REPOSITORY

K = FailureKind

GOOD = """\
name: p
properties: ["mt:target_language"]
aligned: [[source, reference]]
steps:
  - name: translate
    job: inference
    inputs: {source: asset/source}
    outputs: [translations.jsonl]
    pack: {size: 8, sort_by: "mt:target_language"}
    resources: {cpu: 2, memory_mb: [1024, 2048], gpus: 1}
    time_limit: 90s
    retry:
      timeout: {attempts: 4, wait_seconds: 2.5}
    options: {batch_size: 16}
  - name: score
    job: scoring
    inputs: {translations: translate/translations.jsonl, reference: asset/reference}
    outputs: [scores.json]
    options:
      metrics: [bleu, chrf]
"""


def read(tmp_path: Path, text: str | bytes) -> Pipeline:
    file = tmp_path / "p.yml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_pipeline(file)


def refusal(tmp_path: Path, text: str | bytes) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        read(tmp_path, text)
    error = caught.value
    assert error.exit_code is ExitCode.USAGE
    assert str(tmp_path / "p.yml") in error.what
    return error


def said(error: PipelineError) -> str:
    return "\n".join([str(error), *map(str, error.problems)])


def line_of(text: str, word: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if word in line)


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


# what is legal


def test_everything_is_read(tmp_path: Path) -> None:
    pipeline = read(tmp_path, GOOD)
    translate, score = pipeline.steps
    assert (pipeline.name, pipeline.properties) == ("p", ("mt:target_language",))
    assert pipeline.aligned == (("source", "reference"),)
    assert pipeline.assets == {"source", "reference"}
    assert pipeline.uses("inference") and not pipeline.uses("command")
    assert (translate.time_limit, translate.pack.size) == (90.0, 8)
    assert translate.pack.sort_by == "mt:target_language"
    resources = translate.resources
    assert (resources.cpu, resources.memory_mb, resources.gpus) == (2, (1024, 2048), 1)
    assert translate.retry_rule(K.TIMEOUT) == RetryRule(attempts=4, wait_seconds=2.5)
    assert translate.retry_rule(K.LOST).attempts == 3
    assert translate.retry_rule(K.BAD_INPUT).attempts == 1
    assert score.time_limit == 3600.0


def test_metrics_are_written_out_for_the_worker(tmp_path: Path) -> None:
    score = read(tmp_path, GOOD).steps[1]
    assert parse_metrics(score.options["metrics"]) == parse_metrics(["bleu", "chrf"])


def test_a_model_lies_beside_its_pipeline(tmp_path: Path) -> None:
    text = changed("[bleu, chrf]", "[{name: spbleu, model: spm/flores.model}]")
    (metric,) = read(tmp_path, text).steps[1].options["metrics"]
    assert metric["model"] == str(tmp_path / "spm" / "flores.model")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45", 45), ("45s", 45), ("1.5h", 5400), ("30m", 1800), ("6 h", 21600), ("0.5", 0.5)],
)
def test_durations(tmp_path: Path, text: str, seconds: float) -> None:
    assert read(tmp_path, changed("90s", text)).steps[0].time_limit == seconds


def test_one_memory_size_needs_no_list(tmp_path: Path) -> None:
    pipeline = read(tmp_path, changed("[1024, 2048]", "512"))
    assert pipeline.steps[0].resources.memory_mb == (512,)


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "n", "y", "No", "2024-01-01"])
def test_words_that_other_yaml_turns_into_something_else_stay_text(
    tmp_path: Path, word: str
) -> None:
    text = changed("properties: [", f"description: {word}\nproperties: [{word}, ")
    pipeline = read(tmp_path, text)
    assert pipeline.description == word and pipeline.properties[0] == word


def test_a_read_pipeline_can_be_stored_and_read_again(tmp_path: Path) -> None:
    pipeline = read(tmp_path, GOOD)
    assert Pipeline.model_validate_json(pipeline.model_dump_json()) == pipeline


SHIPPED = [
    *sorted(REPOSITORY.glob("inputs/pipelines/*.yml")),
    REPOSITORY / "inputs/demo/pipeline.yml",
]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_what_ships_is_legal(path: Path) -> None:
    pipeline = read_pipeline(path)
    assert pipeline.steps and all(step.outputs for step in pipeline.steps)
    assert yaml.safe_load(path.read_text())["name"] == pipeline.name


def test_shipped_scoring_goes_by_target_language() -> None:
    pipelines = [read_pipeline(path) for path in SHIPPED]
    scoring = [step for each in pipelines for step in each.steps if step.job == "scoring"]
    assert len(scoring) >= 2
    assert {step.pack.sort_by for step in scoring} == {"mt:target_language"}


def test_one_shipped_pipeline_is_not_translation() -> None:
    pipelines = [read_pipeline(path) for path in SHIPPED]
    general = [p for p in pipelines if not p.uses("inference") and not p.uses("scoring")]
    assert general and not general[0].assets and not general[0].properties


# faults

# fault: (what is replaced in the good file, by what, the line at fault, what must be said)
FAULTS = {
    "misspelt key": ("time_limit", "time_limt", "time_limt", "did you mean time_limit"),
    "misspelt step key": ("outputs: [t", "output: [t", "output: [t", "outputs"),
    "misspelt top key": ("aligned", "alined", "alined", "aligned?"),
    "misspelt pack key": ("sort_by", "sortby", "pack:", "sort_by?"),
    "misspelt kind": ("timeout:", "timeuot:", "timeuot", "timeout"),
    "misspelt option": ("batch_size", "batchsize", "batchsize", "batch_size?"),
    "option of another job": ("batch_size: 16", "metrics: [bleu]", "metrics: [bleu]}", "metrics"),
    "misspelt metric": ("[bleu, chrf]", "[bleu, chrff]", "metrics:", "did you mean chrf"),
    "the same metric twice": ("[bleu, chrf]", "[bleu, bleu]", "metrics:", "bleu"),
    "duplicate key": ("time_limit: 90s", "job: command", "job: command", "job again"),
    "alias": ("[bleu, chrf]", "*all", "*all", "alias"),
    "python tag": ("90s", "!!python/object/apply:os.getcwd []", "!!python", "tag"),
    "custom tag": ("90s", "!secret x", "!secret", "tag"),
    "no such form of input": ("asset/source", "source", "source: source", "asset/NAME"),
    "input of an unknown step": ("translate/tr", "tranlate/tr", "inputs: {tra", "'tranlate/"),
    "input that no step leaves": ("translate/tr", "translate/x", "inputs: {tra", "no such output"),
    "unknown job": ("job: inference", "job: training", "training", "inference"),
    "bad duration": ("90s", "soon", "soon", "30m"),
    "negative duration": ("90s", "-5", "-5", "30m"),
    "no duration at all": ("90s", "0", "time_limit", "greater than 0"),
    "endless duration": ("90s", "9" * 400, "time_limit", "finite"),
    "duration like a clock": ("90s", "1:30", "time_limit", "30m"),
    "pack of none": ("size: 8", "size: 0", "pack:", "greater than or equal to 1"),
    "no memory": ("[1024, 2048]", "[]", "memory_mb", "memory_mb"),
    "negative memory": ("[1024, 2048]", "[-1]", "memory_mb", "memory_mb"),
    "shrinking memory": ("[1024, 2048]", "[2048, 1024]", "memory_mb", "grow"),
    "no attempts": ("attempts: 4", "attempts: 0", "timeout:", "attempts"),
    "endless wait": ("2.5", ".inf", "timeout:", "wait_seconds"),
    "output elsewhere": ("[scores.json]", "[../scores.json]", "../scores", "plain file name"),
    "output of the frame": ("[scores.json]", "[outcome.json]", "outcome.json", "itself"),
    "output without a name": ("[scores.json]", "['']", "['']", "plain file name"),
    "output called like a step": ("[scores.json]", "[translate]", "[translate]", "translate"),
    "one output twice": ("[scores.json]", "[translations.jsonl] # 2", "# 2", "would replace"),
    "bad step name": ("name: score", "name: a/b", "a/b", "step name"),
    "bad pipeline name": ("name: p\n", "name: p--q\n", "p--q", "hyphens"),
    "two steps of one name": ("name: score", "name: translate # 2", "# 2", "two steps"),
    "no steps": ("steps:\n", "steps: []\nother:\n", "steps", "at least one"),
    "no name": ("name: p\n", "", "", "name"),
    "pair of three": ("[[source, reference]]", "[[a, b, c]]", "aligned", "aligned"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_line(tmp_path: Path, fault: str) -> None:
    old, new, word, words = FAULTS[fault]
    text = changed(old, new)
    message = said(refusal(tmp_path, text))
    assert f"{tmp_path / 'p.yml'}:{line_of(text, word)}" in message
    assert words in message


BROKEN: dict[str, str | bytes] = {
    "empty": "",
    "comment": "# nothing\n",
    "a list": "- a\n- b\n",
    "a word": "hello",
    "null": "null",
    "not YAML": "name: [p\n",
    "tab": "name: p\n\tsteps: x\n",
    "two documents": "name: p\n---\nname: q\n",
    "not UTF-8": b"name: \xff\xfe\xff\n",
    "NUL": b"name: \0\n",
    "deep": "[" * 100_000,
    "deep mapping": "{a: " * 50_000,
    "huge number": f"name: {'9' * 5000}\n",
    "number for a key": "1: 2\nname: p\n",
    "null for a key": "null: 2\nname: p\n",
    "list for a key": "? [a]\n: b\n",
    "numbers in options": GOOD.replace("{batch_size: 16}", "{1: 2}"),
    "steps that are text": "name: p\nsteps: all\n",
    "a step that is a list": "name: p\nsteps: [[a]]\n",
    "billion laughs": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "too large": "# " + "x" * 1_100_000,
    "escape sequences": "name: \"\\e[31mred\"\nsteps: []\n",
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_pipeline_is_refused_without_a_traceback(tmp_path: Path, name: str) -> None:
    error = refusal(tmp_path, BROKEN[name])
    assert len(said(error)) < 3000
    assert "\x1b" not in said(error)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "p.yml", tmp_path):
        with pytest.raises(PipelineError, match="cannot be read"):
            read_pipeline(path)


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("time_limit", "time_limt").replace("size: 8", "size: 0")
    error = refusal(tmp_path, text.replace("[scores.json]", "[a/b]"))
    assert len(error.problems) == 3
    text = GOOD.replace("batch_size", "batchsize").replace("metrics:", "metricks:")
    assert len(refusal(tmp_path, text).problems) == 2
    text = GOOD.replace("[bleu, chrf]", "[blue, chrff]")
    assert len(refusal(tmp_path, text).problems) == 2


def test_nothing_in_a_file_is_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    witness = tmp_path / "witness"
    attacks: list[Any] = [
        f"name: !!python/object/apply:os.system ['touch {witness}']\n",
        f"name: !!python/object/new:subprocess.Popen [['touch', '{witness}']]\n",
        f"name: !!python/name:os.system\nsteps: ['touch {witness}']\n",
    ]
    for attack in attacks:
        refusal(tmp_path, attack)
    assert not witness.exists() and not capfd.readouterr().out


# Nomad


def test_a_step_says_where_it_runs_and_the_pipeline_says_the_rest(tmp_path: Path) -> None:
    whole = "nomad: {region: west, namespace: eval, vars: my.vars}\noutput_root: out\nsteps:"
    part = "nomad: {namespace: gpu, datacenters: [a, b], job_file: jobs/own.hcl}\n    job: inf"
    pipeline = read(tmp_path, changed("steps:", whole).replace("job: inf", part))
    first, second = map(pipeline.nomad_of, pipeline.steps)
    assert (first.region, first.namespace, first.datacenters) == ("west", "gpu", ("a", "b"))
    assert first.job_file == tmp_path / "jobs/own.hcl"
    assert (second.namespace, second.job_file) == ("eval", None)
    assert first.vars == second.vars == tmp_path / "my.vars"
    assert pipeline.output_root == str(tmp_path / "out")
    assert Pipeline.model_validate(pipeline.model_dump(mode="json")) == pipeline


def test_variables_may_stand_in_the_file_under_plain_names(tmp_path: Path) -> None:
    good = "nomad: {vars: {image: 'x:1', priority: 70, environment: {A: b}}}\nsteps:"
    values = read(tmp_path, changed("steps:", good)).nomad.vars
    assert values == {"image": "x:1", "priority": 70, "environment": {"A": "b"}}
    error = refusal(tmp_path, changed("steps:", 'nomad: {vars: {"a = 1\\nb": x}}\nsteps:'))
    assert "p.yml:4" in said(error)


def test_a_bucket_stays_as_it_is_written(tmp_path: Path) -> None:
    pipeline = read(tmp_path, changed("steps:", "output_root: s3://bucket/x\nsteps:"))
    assert pipeline.output_root == "s3://bucket/x"
