"""What may become a path segment, a batch name or a job name. The only door for ids from outside.

A job name is `<batch>--<unit>--a<n>v1`: the unit is an item or pack with its step in front, the
`v1` is the version of the scheme. Neither batch nor unit ever holds `--`, so the name can be taken
apart again. Nomad's ID, `<parent>/dispatch-<name>-<unix>-<8 hex>`, stays under 200 characters.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass

OUTCOME, BEGUN = "outcome.json", "begun.json"  # what the frame writes for each attempt

MAX_ITEM_ID_BYTES = 180
MAX_FILE_NAME_BYTES = 200
MAX_BATCH = 40
MAX_STEP = 24
MAX_UNIT = 48

_ITEM_ID = re.compile(r"\w(?:[\w.+@=,:~-]*[\w+@=~-])?")
_SLUG = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_STEP = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?")
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9_.]|-(?!-))*"
_JOB_NAME = re.compile(
    rf"(?P<batch>{_PART})--(?P<unit>{_PART})--a(?P<attempt>[0-9]{{1,9}})v1"
    r"(?:-[0-9]{9,12}-[0-9a-f]{8})?"  # what Nomad appends
)
# What packs, and texts that were cut, are called; no other unit may look so.
_TAKEN = re.compile(r"[^.]*\.pack-[0-9]+|.*-[0-9a-f]{10}")


def item_id_problem(text: object) -> str | None:
    """Why an id cannot be one safe path segment, or None if it can."""
    if not isinstance(text, str):
        return "an item id must be text"
    if not text:
        return "an item id cannot be empty"
    if len(text.encode("utf-8", "surrogatepass")) > MAX_ITEM_ID_BYTES:
        return f"longer than {MAX_ITEM_ID_BYTES} bytes"
    if unicodedata.normalize("NFC", text) != text:
        return "not in Unicode normal form NFC, so it can have a twin that looks the same"
    if not _ITEM_ID.fullmatch(text):
        return "not one safe path segment (letters, digits and . _ - + @ = , : ~ inside)"
    return None


def batch_name_problem(text: str) -> str | None:
    """Why a batch name cannot be used in paths and job names, or None if it can."""
    return _slug_problem(text, MAX_BATCH, _SLUG, "_ . -")


def step_name_problem(text: str) -> str | None:
    """Why a step name cannot be used in paths and job names, or None if it can.

    It has no dot: the first dot of a job name's unit ends the step.
    """
    return _slug_problem(text, MAX_STEP, _STEP, "_ -")


def file_name_problem(name: str) -> str | None:
    """Why the name of a file that a job leaves cannot be used, or None if it can."""
    if name in (OUTCOME, BEGUN):
        return "the frame around the job writes this file itself"
    if not name or name.startswith(".") or not name.isprintable() or set(name) & set("/\\"):
        return "not a plain file name"
    if len(name.encode()) > MAX_FILE_NAME_BYTES:
        return f"longer than {MAX_FILE_NAME_BYTES} bytes"
    return None


def _slug_problem(text: str, longest: int, rule: re.Pattern[str], inside: str) -> str | None:
    if not text:
        return "empty"
    if len(text) > longest:
        return f"longer than {longest} characters"
    if not rule.fullmatch(text):
        return f"only A-Z a-z 0-9 and, inside, {inside} are allowed"
    if "--" in text:
        return "two hyphens in a row separate the parts of a job name"
    return None


@dataclass(frozen=True)
class JobName:
    """The parts of a job's name."""

    batch: str
    unit: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.batch}--{self.unit}--a{self.attempt}v1"

    @classmethod
    def parse(cls, name: str) -> "JobName | None":
        """The parts of `name` (a bare job name or a whole Nomad ID), or None if it is not ours."""
        bare = name.rpartition("/dispatch-")[2]
        found = _JOB_NAME.fullmatch(bare)
        if not found:
            return None
        return cls(found["batch"], found["unit"], int(found["attempt"]))


def unit_of_item(step: str, item_id: str) -> str:
    """`<step>.<item>` as a job name's unit; cut and hashed where it does not fit as it is."""
    return _fitted(f"{step}.{item_id}", MAX_UNIT)


def unit_of_pack(step: str, number: int) -> str:
    """`<step>.pack-<number>` as a job name's unit."""
    return f"{step}.pack-{number:06d}"


def _fitted(text: str, longest: int) -> str:
    """Only `[A-Za-z0-9_.-]` without `--`; a changed text carries a hash of the whole one.

    No two texts give the same, but for a collision of their hashes.
    """
    safe = re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9_.-]", "_", text)).rstrip("-.")
    if safe == text and len(safe) <= longest and not _TAKEN.fullmatch(text):
        return safe
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{safe[: longest - 11].rstrip('-.')}-{digest}"
