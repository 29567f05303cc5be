"""What scoring one item leaves: `scores.json`, and `statistics.json` to score again from."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coordinator.errors import BadInput


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MetricResult(_Document):
    """One metric over all sentences of an item."""

    score: float
    signature: str
    statistics: tuple[int | float, ...]  # summed over the sentences
    tokenizer_sha256: str = ""  # of the tokenizer's file; "" = it has none


class ItemScores(_Document):
    """`scores.json`. The hashes are of the files as they were read."""

    format: Literal[1] = 1
    item: str
    source_language: str = ""
    target_language: str = ""
    sentences: int = Field(ge=1)
    reference_sha256: str
    hypotheses_sha256: str
    metrics: dict[str, MetricResult]

    def to_bytes(self) -> bytes:
        return self.model_dump_json(indent=2).encode() + b"\n"

    def by_metric(self) -> dict[str, float]:
        """Metric -> score."""
        return {name: result.score for name, result in self.metrics.items()}


class ItemStatistics(_Document):
    """`statistics.json`: metric -> one row of counts per sentence, in the order of the text."""

    format: Literal[1] = 1
    item: str
    metrics: dict[str, list[list[int | float]]]

    def to_bytes(self) -> bytes:
        return self.model_dump_json().encode() + b"\n"


def read_scores(data: bytes) -> ItemScores:
    """The document in `data`.

    Raises:
        BadInput: it is none, or of a newer version.
    """
    try:
        return ItemScores.model_validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise BadInput("scores.json cannot be read", why=f"{where}: {fault['msg']}") from error
