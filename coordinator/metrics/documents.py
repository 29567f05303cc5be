"""What scoring one item leaves: `scores.json`, and `statistics.json` to score again from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coordinator.errors import BadInput

if TYPE_CHECKING:
    from coordinator.metrics.metric import Statistics


SCORES, STATISTICS = "scores.json", "statistics.json"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MetricResult(_Document):
    """One metric over all sentences of an item."""

    score: float
    signature: str
    statistics: tuple[int | float, ...]  # summed over the sentences
    tokenizer_sha256: str = ""  # of the tokenizer's file; "" = it has none


class Suspicious(_Document):
    """Signs of translations that are none, as counts of lines; None = not to be told.

    Attributes:
        copied: lines that are their source, or nearly.
        repeated: lines whose text also stands in a line that translates something else.
        loops: lines that repeat one piece of text over and over.
        wrong_script: lines in a script that the reference is not written in.
        scripts: that of most of these, and the reference's own; None where there are none.
        length_ratio: characters of the text against those of `lengths_against`.
        far_lengths: lines that are far too long or too short.
        flags: a sentence for each sign that is too frequent; none = nothing suspicious.
    """

    sentences: int
    empty: int
    copied: int | None = None
    repeated: int = 0
    loops: int = 0
    wrong_script: int | None = None
    scripts: tuple[str, str] | None = None
    length_ratio: float | None = None
    far_lengths: int | None = None
    lengths_against: Literal["reference", "source", ""] = ""
    flags: tuple[str, ...] = ()


class ItemScores(_Document):
    """`scores.json`. The hashes are of the files as they were read."""

    format: Literal[1] = 1
    item: str
    source_language: str = ""
    target_language: str = ""
    sentences: int = Field(ge=1)
    references: int = Field(default=1, ge=1)  # of each sentence
    reference_sha256: str  # of several files, of their hashes, one a line
    hypotheses_sha256: str
    source_sha256: str = ""  # "" = the source was not looked at
    statistics_sha256: str = ""  # of `statistics.json`; "" = not known
    metrics: dict[str, MetricResult]
    suspicious: Suspicious | None = None  # not in files of older versions
    limited: str = ""  # what these are scores of, where it is less than all; not written else

    def to_bytes(self) -> bytes:
        left_out = set() if self.limited else {"limited"}
        return self.model_dump_json(indent=2, exclude=left_out).encode() + b"\n"

    def by_metric(self) -> dict[str, float]:
        """Metric -> score."""
        return {name: result.score for name, result in self.metrics.items()}


class ItemStatistics(_Document):
    """`statistics.json`: metric -> one row of counts per sentence, in the order of the text."""

    format: Literal[1] = 1
    item: str
    metrics: dict[str, list[list[int | float]]]


def statistics_bytes(item: str, metrics: Mapping[str, "Statistics"]) -> bytes:
    """The `statistics.json` of an item, straight from the arrays: metric -> its rows."""
    rows = {name: array.copy("C") for name, array in metrics.items()}  # orjson wants them so
    document = {"format": 1, "item": item, "metrics": rows}
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


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
