"""Where on Nomad a batch belongs, and what tells it from others: known without asking any Nomad."""

import os
import uuid
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from coordinator.errors import UsageError
from coordinator.settings import Settings

DEFAULT_ADDRESS = "http://127.0.0.1:4646"


class NomadPlace(BaseModel):
    """Which Nomad, and where in it; the token is no part of it."""

    model_config = ConfigDict(frozen=True)

    address: str = DEFAULT_ADDRESS
    namespace: str = "default"
    region: str = ""


def nomad_place(settings: Settings) -> NomadPlace:
    """From the settings, else from Nomad's own environment variables."""
    given = os.environ
    address = settings.nomad_addr or given.get("NOMAD_ADDR") or DEFAULT_ADDRESS
    if "@" in urlsplit(address).netloc:
        raise UsageError(
            "Nomad's address holds a user or a password",
            why="it is shown, and kept with the batch",
            hint="give the address alone, and the token in NOMAD_TOKEN",
        )
    return NomadPlace(
        address=address,
        namespace=settings.nomad_namespace or given.get("NOMAD_NAMESPACE") or "default",
        region=settings.nomad_region or given.get("NOMAD_REGION") or "",
    )


def batch_uid(folder: Path) -> str:
    """What tells the batch in `folder` from others of its name; made when first asked for."""
    return known_uid(folder) or keep_uid(folder, uuid.uuid4().hex)


def keep_uid(folder: Path, uid: str) -> str:
    """Make `uid` the one of the batch in `folder`, unless it has one; the one that it has."""
    path = folder / "uid"
    folder.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{uid}")
    aside.write_text(uid)
    with suppress(FileExistsError):
        os.link(aside, path)
    aside.unlink()
    return known_uid(folder)


def known_uid(folder: Path) -> str:
    """The uid that was made for the batch in `folder`, or "" if none was."""
    with suppress(FileNotFoundError):
        return (folder / "uid").read_text()
    return ""
