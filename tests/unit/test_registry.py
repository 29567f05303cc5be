"""Tasks, their datasets and their metrics: what a registry may say, and what is said back."""

import json
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.errors import BadInput
from coordinator.metrics import load_metric
from coordinator.scoring.datasets import Dataset
from coordinator.scoring.registry import Registry, read_registry

SHIPPED = Path(__file__).parents[2] / "inputs" / "tasks.yml"


def registry(folder: Path, text: str) -> Registry:
    path = folder / "tasks.yml"
    path.write_text(dedent(text), "utf-8")
    return read_registry(path)


def refused(folder: Path, text: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        registry(folder, text)
    return [str(problem) for problem in caught.value.problems]


def dataset_of(folder: Path, lines: str) -> list[Dataset]:
    """The datasets of a registry with one, which `lines` describe."""
    task = registry(
        folder, f"datasets:\n  d: {lines}\ntasks:\n  t: {{datasets: d, metrics: [bleu]}}"
    )
    return task.task("t").datasets()


def label_dataset(folder: Path, lines: str) -> Dataset:
    text = f"datasets:\n  d: {lines}\ntasks:\n  t: {{datasets: d, metrics: [accuracy]}}"
    (found,) = registry(folder, text).task("t").datasets()
    return found


def put(folder: Path, name: str, *lines: object) -> None:
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / name).write_text("".join(f"{text}\n" for text in texts), "utf-8", newline="")


def problems(folder: Path, lines: str) -> tuple[str, list[str]]:
    with pytest.raises(BadInput) as caught:
        dataset_of(folder, lines)
    return str(caught.value), [str(problem) for problem in caught.value.problems]


# what is shipped


def test_the_shipped_example_is_scored_by_every_kind_of_metric() -> None:
    found = {}
    for task in read_registry(SHIPPED).tasks.values():
        for dataset in task.datasets():
            path = SHIPPED.parent / "tasks" / "predictions" / f"{dataset.name}.txt"
            if path.exists():
                predictions = path.read_text("utf-8").splitlines()
                for spec in task.metrics:
                    metric = load_metric(spec)
                    rows = metric.statistics(predictions, metric.prepare(dataset.expected))
                    found[task.name, dataset.name, metric.name] = metric.score(rows)
    assert found["phrasebook", "phrases.deu-eng", "ExactMatch"] == 60.0
    assert found["phrasebook", "phrases.fra-eng", "ExactMatch"] == 80.0
    assert found["topics", "topics", "accuracy"] == 0.75
    assert len(found) == 11


def test_the_shipped_datasets_are_of_one_type() -> None:
    village, german, french = read_registry(SHIPPED).task("translation").datasets()
    assert (len(village), village.languages, len(village.references)) == (100, ("deu", "eng"), 1)
    assert (german.name, len(german), len(german.references)) == ("phrases.deu-eng", 5, 1)
    assert (french.name, len(french), len(french.references)) == ("phrases.fra-eng", 5, 2)
    assert french.ids[0] == "p6" and french.sources[0] == "Bonjour !"
    (topics,) = read_registry(SHIPPED).task("topics").datasets()
    assert topics.labels[:2] == ("trade", "sport") and topics.expected == (topics.labels,)
    assert (
        topics.tags[1] == ("town",)
        and topics.sources[4] == 'She said: "The goalkeeper was asleep."'
    )


# the file


def test_every_fault_comes_with_its_line(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        """\
        datasets:
          one: {format: txt, file: a}
          two: {format: jsonl, fiel: a.jsonl, file: a.jsonl}
          three: {format: csv, file: c.csv, columns: {source: a}}
          ../four: {format: jsonl, file: d.jsonl}
        tasks:
          a:
            datasets: [two, thre, one]
            metrics: [belu]
          b: {dataset: two, metrics: [bleu]}
          c: {datasets: [], metrics: [bleu]}
        task: {}
        """,
    )
    name = f"{tmp_path}/tasks.yml"
    parts = [
        f"{name}:12: unknown key 'task' (did you mean tasks?)",
        f"{name}:2: `format` is txt (did you mean text?)",
        f"{name}:3 [fiel]: unknown key 'fiel' (did you mean ",
        f"{name}:4: dataset 'three' needs a reference or a label, and not both",
        f"{name}:5: dataset '../four':",
        f"{name}:8: unknown dataset 'thre' (did you mean three",
        f"{name}:9[0]: unknown metric 'belu'",
        f"{name}:10 [dataset]: unknown key 'dataset' (did you mean datasets",
        f"{name}:11 [datasets]: ",
    ]
    for part in parts:
        assert any(problem.startswith(part) for problem in said), (part, said)


@pytest.mark.parametrize(
    ("metrics", "dataset", "said"),
    [
        ("[accuracy]", "{format: jsonl, file: a.jsonl}", "accuracy needs labels; d has no labels"),
        ("[bleu]", "{format: text, labels: a.txt}", "bleu needs references; d has labels"),
    ],
)
def test_metrics_must_fit_the_data(metrics: str, dataset: str, said: str, tmp_path: Path) -> None:
    text = f"datasets:\n  d: {dataset}\ntasks:\n  t: {{datasets: d, metrics: {metrics}}}"
    assert any(said in problem for problem in refused(tmp_path, text))


def test_a_task_that_is_not_there(tmp_path: Path) -> None:
    text = (
        "datasets:\n  d: {format: jsonl, file: a}\ntasks:\n  news: {datasets: d, metrics: [bleu]}"
    )
    with pytest.raises(BadInput) as caught:
        registry(tmp_path, text).task("new")
    assert "did you mean news?" in caught.value.hint


def test_reading_a_registry_reads_no_dataset_and_runs_no_code(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit")
    text = """
    datasets:
      d: {format: jsonl, file: gone.jsonl}
    tasks:
      t: {datasets: d, metrics: [{class: "mine:Any"}]}
    """
    task = registry(tmp_path, text).task("t")
    with pytest.raises(BadInput, match="gone.jsonl cannot be read"):
        task.datasets()


WORDS = st.sampled_from([
    "datasets", "tasks", "metrics", "format", "text", "jsonl", "csv", "file", "columns", "label",
    "reference", "source", "fields", "languages", "class", "options", "m:C", "bleu", "f1", "d",
    "", "\0", "..", "name", "average", "delimiter", "\n",
])  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)
DATASETS = st.dictionaries(WORDS, st.dictionaries(WORDS, VALUES, max_size=5) | VALUES, max_size=3)


@given(datasets=DATASETS | VALUES, tasks=DATASETS | VALUES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_a_registry_says_is_used_or_refused(
    datasets: object, tasks: object, tmp_path: Path
) -> None:
    text = json.dumps({"datasets": datasets, "tasks": tasks})
    try:
        for task in registry(tmp_path, text).tasks.values():
            task.datasets()
    except BadInput as error:
        assert "\0" not in str(error)


# text files


def test_line_aligned_files(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes("\ufeffeins\r\nzwei\u2028 \n\n".encode())
    (tmp_path / "r").write_bytes(b"one\ntwo  \nthree")
    (found,) = dataset_of(
        tmp_path, "{format: text, source: s, reference: [r, r], languages: [de, en]}"
    )
    assert found.sources == ("eins", "zwei", "")
    assert found.references == (("one", "two", "three"),) * 2
    assert (found.ids, found.languages) == (("1", "2", "3"), ("de", "en"))


def test_files_of_different_length(tmp_path: Path) -> None:
    put(tmp_path, "s", "a", "b")
    put(tmp_path, "r", "a")
    said, _ = problems(tmp_path, "{format: text, source: s, reference: r}")
    assert "s has 2 lines" in said and "r has 1 lines" in said


def test_a_file_name_that_is_none(tmp_path: Path) -> None:
    said, _ = problems(tmp_path, '{format: text, reference: "a\\0b"}')
    assert r"a\x00b cannot be read" in said


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(b"fine\n\xff\n")
    assert "r:2 is not UTF-8" in problems(tmp_path, "{format: text, reference: r}")[0]


# JSON lines


def test_json_lines_of_several_directions(tmp_path: Path) -> None:
    def line(source: str, target: str, text: str) -> dict[str, str]:
        return {
            "sourceLanguage": source,
            "targetLanguage": target,
            "sourceText": text,
            "targetText": "x",
        }

    put(tmp_path, "d.jsonl", line("a", "b", "1"), line("c", "b", "2"), "", line("a", "b", "3\n4"))
    one, two = dataset_of(tmp_path, "{format: jsonl, file: d.jsonl}")
    assert (one.name, one.languages, one.sources) == ("d.a-b", ("a", "b"), ("1", "3 4"))
    assert (two.name, two.ids) == ("d.c-b", ("2",))  # an id, or else the line


def test_every_faulty_line_is_told(tmp_path: Path) -> None:
    put(
        tmp_path, "d.jsonl", {"targetText": "fine"}, "{", "[1]", {"sourceText": "no target"},
        {"targetText": 7}, '{"targetText": "\\ud800"}', {"targetText": []},
        {"targetText": "x", "sourceText": None},
    )  # fmt: skip
    said, lines = problems(tmp_path, "{format: jsonl, file: d.jsonl}")
    assert "7 faults" in said
    name = f"{tmp_path}/d.jsonl"
    assert [line.removeprefix(name) for line in lines] == [
        ":2: not JSON",
        ":3: no JSON object",
        ":4 [targetText]: no text",
        ":5 [targetText]: int, not text",
        ":6 [targetText]: half a surrogate pair, which is no character",
        ":7 [targetText]: list, not text",
        ":8 [sourceText]: no text",
    ]


def test_only_the_first_faults_are_shown(tmp_path: Path) -> None:
    put(tmp_path, "d.jsonl", *["{"] * 25)
    said, lines = problems(tmp_path, "{format: jsonl, file: d.jsonl}")
    assert "25 faults, of which 15 are not shown" in said and len(lines) == 10


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([{"targetText": ["a", "b"]}, {"targetText": "a"}], "from 1 to 2 references a segment"),
        ([{"targetText": "a", "id": "x"}, {"targetText": "a", "id": "x"}], "ids occur twice in d"),
        ([{"targetText": ""}], "there is nothing to compare with"),
        ([], "holds no records"),
        ([{"targetText": "a", "sourceLanguage": "../x"}, {"targetText": "b"}], "cannot be used"),
    ],
)
def test_data_that_cannot_be_used(records: Sequence[object], said: str, tmp_path: Path) -> None:
    put(tmp_path, "d.jsonl", *records)
    assert said in problems(tmp_path, "{format: jsonl, file: d.jsonl}")[0]


def test_other_fields(tmp_path: Path) -> None:
    put(tmp_path, "d.jsonl", {"q": "2+2", "a": "4", "b": "four", "kind": ["sum", "easy"]})
    fields = "fields: {source: q, reference: [a, b], tags: kind}"
    (found,) = dataset_of(tmp_path, f"{{format: jsonl, file: d.jsonl, {fields}}}")
    assert (found.sources, found.references) == (("2+2",), (("4",), ("four",)))
    assert found.tags == (("sum", "easy"),)


# CSV


def test_csv_with_labels(tmp_path: Path) -> None:
    put(tmp_path, "d.csv", "text;label;id", '"a; ""b""', 'c";good ;1', "", "x;bad;2")
    found = label_dataset(
        tmp_path,
        "{format: csv, file: d.csv, delimiter: ;, columns: {source: text, label: label, id: id}}",
    )
    assert (found.sources, found.labels, found.ids) == (
        ('a; "b" c', "x"),
        ("good", "bad"),
        ("1", "2"),
    )
    assert found.expected == (("good", "bad"),)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["r", "a,b"], "d.csv:2: 2 cells, but the first row has 1"),
        (["x", "a"], "d.csv:2 [r]: no text"),
        (["r", '"a'], "is no CSV"),
        (["r,r", "a,b"], "names a column twice"),
        ([], "is empty"),
        (["r"], "holds no records"),
    ],
)
def test_csv_that_cannot_be_used(lines: list[str], said: str, tmp_path: Path) -> None:
    put(tmp_path, "d.csv", *lines)
    told, listed = problems(tmp_path, "{format: csv, file: d.csv, columns: {reference: r}}")
    assert any(said in each for each in (told, *listed)), (told, listed)


def test_a_label_that_is_missing(tmp_path: Path) -> None:
    put(tmp_path, "d.csv", "l", "a", '" "')
    with pytest.raises(BadInput) as caught:
        label_dataset(tmp_path, "{format: csv, file: d.csv, columns: {label: l}}")
    assert "d.csv:3 [l]: no label" in str(caught.value.problems[0])


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "r", "a" * 50, "b")
    lines = "{format: text, reference: r}"
    for name, limit, said in (
        ("MAX_FILE", 10, "too large"), ("MAX_LINE", 40, "r:1 is too long"),
        ("MAX_RECORDS", 1, "too many lines"),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(f"coordinator.scoring.records.{name}", limit)
            assert said in problems(tmp_path, lines)[0]
