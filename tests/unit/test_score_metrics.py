"""`--metrics` and `--model` of `coordinator score`: names, or a list in a file."""

from pathlib import Path

import pytest

from coordinator.commands.score import read_metrics
from coordinator.errors import BadInput, UsageError


def test_names() -> None:
    found = read_metrics("spbleu, chrf++", Path("spm.model"))
    assert [spec.name for spec in found] == ["spbleu", "chrf++"]
    assert found[0].model == Path("spm.model")


def test_a_list_in_a_file_with_paths_from_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "metrics.yml"
    path.write_text(
        "metrics:\n- {name: spbleu, model: spm.model}\n- {name: bleu, tokenize: intl}\n"
    )
    found = read_metrics(str(path), None)
    assert [spec.name for spec in found] == ["spbleu", "bleu-intl"]
    assert found[0].model == tmp_path / "spm.model"
    with pytest.raises(UsageError, match="--model, but"):
        read_metrics(str(path), Path("other.model"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("metrics: [bleu]\nsteps: []\n", "something else than `metrics`"),
        ("metrics: []\n", "at least one metric"),
        ("metrics: [blue]\n", "did you mean"),
        ("metrics: &a [*a]\n", "alias"),
        ("[bleu]\n", "no mapping"),
    ],
)
def test_a_file_that_cannot_be_used(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        read_metrics(str(path), None)
    assert words in f"{caught.value} {caught.value.problems}"
    assert "metrics.yaml" in str(caught.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_metrics("/nowhere/metrics.yml", None)
