"""What may become a path segment, a batch name or a job name. The only door for ids from outside.

A job name is `<batch>--<unit>--a<n>v1`: the unit is an item or pack with its step in front, the
`v1` is the version of the scheme. Neither batch nor unit ever holds `--`, so the name can be taken
apart again. Nomad's whole ID, `<parent>/dispatch-<name>-<unix>-<8 hex>`, stays under 200 characters.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass

MAX_ITEM_ID_BYTES = 180
MAX_BATCH = 40
MAX_STEP = 24
MAX_UNIT = 48

_ITEM_ID = re.compile(r"\w(?:[\w.+@=,:~-]*[\w+@=~-])?")
_SLUG = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_JOB_NAME = re.compile(r"(?P<batch>.+?)--(?P<unit>.+?)--a(?P<attempt>\d+)v1")


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
    return _slug_problem(text, MAX_BATCH)


def step_name_problem(text: str) -> str | None:
    """Why a step name cannot be used in paths and job names, or None if it can."""
    return _slug_problem(text, MAX_STEP)


def _slug_problem(text: str, longest: int) -> str | None:
    if not text:
        return "empty"
    if len(text) > longest:
        return f"longer than {longest} characters"
    if not _SLUG.fullmatch(text):
        return "only A-Z a-z 0-9 and, inside, _ . - are allowed"
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
        found = _JOB_NAME.match(bare)
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
    """Only `[A-Za-z0-9_.-]` without `--`; a changed text carries a hash of the whole one."""
    safe = re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9_.-]", "_", text)).rstrip("-.")
    if safe == text and len(safe) <= longest:
        return safe
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{safe[: longest - 11].rstrip('-.')}-{digest}"
