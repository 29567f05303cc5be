"""A secret gives itself away by `reveal` alone."""

import copy
import dataclasses
import io
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from pydantic import BaseModel, ValidationError

from coordinator.cluster.nomad.api import NomadAddress
from coordinator.secrecy import Secret
from coordinator.storage.aws_keys import AwsKeys

CANARY = "canary-0d1f:of/the+type"


class Model(BaseModel):
    token: Secret
    size: int = 0


@dataclasses.dataclass
class Record:
    token: Secret


def logged(value: object) -> str:
    out = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(out), processors=[structlog.processors.JSONRenderer()]
    )
    log.info("said", token=value, nested={"token": [value]})
    return out.getvalue()


def raised(value: object) -> str:
    try:
        raise ValueError("no", value)
    except ValueError:
        return traceback.format_exc()


def refused(value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"token": value, "size": "many"})
    return str(caught.value) + caught.value.json() + repr(caught.value.errors())


SHOWN: dict[str, Callable[[Secret], object]] = {
    "repr": repr,
    "str": str,
    "format": lambda s: f"{s}{s!r}{s:>40}" + "%s %r" % (s, s),  # noqa: UP031
    "json": lambda s: json.dumps({"token": s}, default=str),
    "pydantic": lambda s: Model(token=s),
    "pydantic's JSON": lambda s: Model(token=s).model_dump_json(),
    "pydantic's document": lambda s: Model(token=s).model_dump(mode="json"),
    "pydantic's complaint": refused,
    "a dataclass": lambda s: dataclasses.asdict(Record(s)),
    "a traceback": raised,
    "structlog": logged,
    "logging": lambda s: logging.LogRecord("n", 20, "p", 1, "%s", (s,), None).getMessage(),
    "its attributes": lambda s: [getattr(s, "__dict__", None), copy.deepcopy([s])],
    "AWS keys": lambda s: (AwsKeys(s, s, s, origin="o", method="m"), copy.copy(s)),
    "the keys' file": lambda s: AwsKeys(s, s, s, origin="o", method="m").as_file(),
    "Nomad's address": lambda s: NomadAddress(token=s),
}


@pytest.mark.parametrize("way", SHOWN)
def test_nothing_shows_it(way: str) -> None:
    shown = SHOWN[way](Secret(CANARY))
    assert CANARY not in f"{shown}{shown!r}"


@pytest.mark.parametrize("way", [pickle.dumps, json.dumps])
def test_what_would_write_it_refuses(way: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError) as caught:
        way(Secret(CANARY))
    assert CANARY not in str(caught.value)


def test_it_is_there_for_whoever_needs_it() -> None:
    secret = Secret(CANARY)
    assert secret.reveal() == CANARY == Model(token=secret).token.reveal()
    assert Model.model_validate({"token": CANARY}).token == secret == Secret(secret)
    assert secret != Secret("other") and secret != CANARY
    assert len({secret, Secret(CANARY)}) == 1
    assert bool(secret) and not Secret("")
