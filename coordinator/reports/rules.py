"""What lines of logs mean: a table of patterns, as it ships or as a team writes its own.

One row says: a line of these tasks that matches this pattern means this. The first row of the
table that matches a line counts for it.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import re2
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from coordinator.domain.names import file_name_problem
from coordinator.domain.states import FailureKind
from coordinator.errors import BadInput, Problem
from coordinator.settings import problems_of, read_yaml

Meaning = FailureKind | Literal["succeeded", "no_data"]

_MOST_RULES = 1_000
_LONGEST = 1_000  # characters of a pattern
_QUIET = re2.Options()
_QUIET.log_errors = False


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _a_pattern(text: str) -> str:
    try:
        compiled = re2.compile(text, _QUIET)
    except re2.error as error:
        said = error.args[0].decode("utf-8", "replace")
        raise ValueError(f"no regular expression that RE2 takes: {said}") from None
    if compiled.search(""):
        raise ValueError("it matches an empty line, and so every one")
    return text


class Rule(_Part):
    """One row.

    Attributes:
        pattern: a regular expression, looked for anywhere in a line.
        task: whose logs it is for; "" = any task's.
        kind: what such a line says of the item that the log is of; None where it is ignorable.
        ignorable: it looks bad, and means nothing.
    """

    pattern: Annotated[str, AfterValidator(_a_pattern)] = Field(min_length=1, max_length=_LONGEST)
    task: str = ""
    kind: Meaning | None = None
    ignorable: bool = False

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Rule":
        if (self.kind is None) != self.ignorable:
            raise ValueError("it has either a kind, or ignorable: true")
        return self

    @property
    def is_good(self) -> bool:
        return self.kind is not None and not isinstance(self.kind, FailureKind)

    def is_for(self, task: str) -> bool:
        return self.task in ("", task)


def _a_file_name(name: str) -> str:
    if problem := file_name_problem(name):
        raise ValueError(problem)
    return name


_FileName = Annotated[str, AfterValidator(_a_file_name)]


class Rules(_Part):
    """A rules file.

    Attributes:
        layout: how the folders of the tree are laid out; "" = as our own.
        driver: the job whose logs say what became of an item.
        lists: lists of the report -> the names that they are written under as well.
        ends: lines with which such a log ends; one of kind `unknown` says that an item failed, and
            that the reason stands before it.
        rules: lines that say why, and lines that mean nothing.
    """

    format: Literal[1] = 1
    layout: Literal["", "dispatch-folders"] = ""
    driver: str = ""
    lists: dict[_FileName, _FileName] = {}
    ends: tuple[Rule, ...] = Field(default=(), max_length=_MOST_RULES)
    rules: tuple[Rule, ...] = Field(default=(), max_length=_MOST_RULES)

    @model_validator(mode="after")
    def _fits_its_layout(self) -> "Rules":
        if not self.layout and (self.ends or self.driver):
            raise ValueError("ends and driver are for a layout: layout: dispatch-folders")
        if not self.layout and any(rule.is_good for rule in self.rules):
            raise ValueError("no words make a success here: only an outcome file does")
        return self

    def kind_of(self, task: str, text: str, *, is_main: bool) -> FailureKind | None:
        """What the last words of a task mean; None = nothing that is known.

        Rows without a task are for the main one.
        """
        for rule in self.rules:
            is_for = rule.task == task or (is_main and not rule.task)
            if is_for and _compiled(rule.pattern).search(text):
                return rule.kind if isinstance(rule.kind, FailureKind) else None
        return None


@lru_cache(maxsize=_MOST_RULES)
def _compiled(pattern: str) -> Any:
    return re2.compile(pattern)


@lru_cache(maxsize=1)
def our_rules() -> Rules:
    """The table for our own trees."""
    return _read(Path(__file__).with_name("text-rules.yml"))


def read_rules(path: Path) -> Rules:
    """The table in a YAML file; one for trees of our own layout goes before ours.

    Raises:
        BadInput: every fault, each with its line.
    """
    given = _read(path)
    if given.layout:
        return given
    return given.model_copy(update={"rules": (*given.rules, *our_rules().rules)})


def _read(path: Path) -> Rules:
    document = read_yaml(path)
    try:
        return Rules.model_validate(document.data)
    except ValidationError as error:
        raise _refused(path, problems_of(error, document, {})) from error


def _refused(path: Path, problems: Iterable[Problem]) -> BadInput:
    hint = "see docs/interpreting-reports.md"
    return BadInput(f"the rules {path} cannot be used", problems=list(problems), hint=hint)
