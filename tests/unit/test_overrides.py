"""Options of inference that are given as flags: checked at the door, and over the pipeline's."""

import pytest

from coordinator.commands.overrides import overridden
from coordinator.errors import UsageError
from coordinator.pipelines import Pipeline


def pipeline(*jobs: str) -> Pipeline:
    steps = [{"name": f"s{n}", "job": job, "options": options(job)} for n, job in enumerate(jobs)]
    return Pipeline.model_validate({"name": "p", "steps": steps})


def options(job: str) -> dict[str, object]:
    return {"command": ["true"]} if job == "command" else {"sentence_timeout": 9.0, "beams": 2}


def test_a_flag_holds_in_every_inference_step_and_no_other() -> None:
    given = {"sentence_timeout": 5.0, "max_batch_tokens": 100}
    steps = overridden(pipeline("inference", "command", "inference"), given).steps
    changed = {"sentence_timeout": 5.0, "beams": 2, "max_batch_tokens": 100}
    assert [step.options for step in steps] == [changed, {"command": ["true"]}, changed]


def test_without_flags_nothing_changes() -> None:
    plain = pipeline("command")
    assert overridden(plain, {}) == plain


@pytest.mark.parametrize(
    "wrong",
    [{"max_batch_tokens": 0}, {"sentence_timeout": -1.0}, {"sentence_timeout": float("inf")}],
)
def test_a_value_that_cannot_be_used_is_refused(wrong: dict[str, object]) -> None:
    [name] = wrong
    with pytest.raises(UsageError, match=f"--{name} .* cannot be used"):
        overridden(pipeline("inference"), wrong)


def test_a_flag_that_would_change_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="--max_batch_tokens 5 changes nothing"):
        overridden(pipeline("command"), {"max_batch_tokens": 5})
