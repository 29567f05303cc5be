"""Values that hold for many batches: flag over environment over `settings.yml` over default."""

import io
import re
import shlex
import stat
import subprocess
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    IPvAnyNetwork,
    PrivateAttr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from coordinator.errors import BadInput, Problem, UsageError
from coordinator.secrecy import NO_SECRET, Secret, known
from coordinator.secrecy.sources import in_words
from coordinator.settings.strict_yaml import read_yaml
from coordinator.settings.validation import problems_of

DEFAULT_FILE = Path("settings.yml")
SECRETS_FILE = "secrets.env"

_SHORTEST_TOKEN = 12  # characters: shorter parts of an address may be ordinary words
_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+")


def default_state_dir() -> Path:
    try:
        return platformdirs.user_state_path("coordinator", appauthor=False)
    except RuntimeError as error:
        raise UsageError(
            "there is no place to keep batches in",
            why="this user has no home folder, and HOME is not set",
            hint="--state_dir FOLDER, or set COORDINATOR_STATE_DIR",
        ) from error


def _split(value: object) -> object:
    """A list may stand in one text, as it has to in an environment variable."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError("a host is a name such as data.example.org, or *.example.org, alone")
    return text


def _command(text: str) -> str:
    try:
        shlex.split(text)
    except ValueError as error:
        raise ValueError(f"it cannot be taken apart as a shell would: {error}") from error
    return text


def _webhook(address: Secret) -> Secret:
    """Nothing of it is in what is raised: whoever has it can write there."""
    if not address or _is_safe(address.reveal()):
        return address
    raise ValueError("it has to be https://HOST/..., or http:// on this machine (127.0.0.1)")


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
    return parts.scheme == "https" and bool(host)


Hosts = Annotated[
    tuple[Annotated[str, AfterValidator(_host)], ...], NoDecode, BeforeValidator(_split)
]
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """Every setting, with the environment variable `COORDINATOR_<NAME>`."""

    model_config = SettingsConfigDict(
        env_prefix="COORDINATOR_", extra="forbid", frozen=True, env_ignore_empty=True
    )

    cluster: Literal["local", "nomad"] = "local"
    state_dir: Path = Field(default_factory=default_state_dir)
    log_dir: Path = Path("local-logs")
    report_dir: Path = Path("local-reports")
    output_root: str = "outputs"
    pipeline: Path | None = None
    job_vars: Path | None = None
    model: str = ""
    trust_model_code: bool = False
    model_cache: Path | None = None
    model_cache_gb: float = Field(default=100.0, gt=0, lt=1e9)
    monitoring_interval_seconds: float = Field(default=0.0, ge=0, le=3600)
    catalog: str = ""
    stac_api_url: str = ""
    slots: int | None = Field(default=None, ge=1)
    nomad_addr: str = ""
    nomad_namespace: str = ""
    nomad_region: str = ""
    keep_jobs: bool | None = None
    max_blocked: int = Field(default=1000, ge=0)
    stop_threshold: int | None = Field(default=None, ge=1)
    resume_threshold: int | None = Field(default=None, ge=0)
    wait_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    max_same_failure: int = Field(default=10, ge=0)
    use_local_creds: bool = False
    save_ledger: bool = False
    notify_command: Annotated[str, AfterValidator(_command)] = ""
    notify_url: Annotated[Secret, AfterValidator(_webhook)] = NO_SECRET
    allow_hosts: Hosts = ()
    allow_networks: Networks = ()
    _secrets: dict[str, Secret] = PrivateAttr(default_factory=dict)  # from their own file only

    @property
    def secrets(self) -> Mapping[str, Secret]:
        return self._secrets


def load_settings(file: Path | None = None, **flags: Any) -> Settings:
    """The settings; flags that are None were not given.

    Raises:
        BadInput: a file or value that cannot be used; every fault at once.
        UsageError: a secrets file that others may read.
    """
    path = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    given = {name: value for name, value in flags.items() if value is not None}
    values = _file_values(path) if path else {}
    known.learn(in_words(str(value) for value in (*given.values(), *values.values())))
    try:
        settings: Settings = _with_file(values)(**given)
    except ValidationError as error:
        raise _environment_fault(error, given) from error
    known.learn(_of_webhook(settings.notify_url))
    settings._secrets = _secrets((path or DEFAULT_FILE).parent / SECRETS_FILE)
    known.learn(settings._secrets.values())
    return settings


def _of_webhook(address: Secret) -> Iterator[str]:
    """All of it, and what is behind the host, as errors of libraries show it."""
    if address:
        yield address.reveal()
        parts = urlsplit(address.reveal())
        yield parts._replace(scheme="", netloc="").geturl()
        yield from (part for part in parts.path.split("/") if len(part) >= _SHORTEST_TOKEN)


def _with_file(values: dict[str, Any]) -> type[Settings]:
    """Settings that take what flags and environment leave open from `values`."""

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, values)

    return FromFile


class _FileAlone(Settings):
    """Takes nothing from the environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_more: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _file_values(path: Path) -> dict[str, Any]:
    """The checked content of the settings file, alone: its faults carry its lines."""
    document = read_yaml(path)
    try:
        _FileAlone(**{str(key): value for key, value in document.data.items()})
    except ValidationError as error:
        raise BadInput(
            f"{path} cannot be used", problems=problems_of(error, document, Settings.model_fields)
        ) from error
    folder = path.parent
    relative = {"state_dir", "log_dir", "report_dir", "pipeline", "job_vars", "model_cache"}
    given = {k: v for k, v in document.data.items() if v is not None}
    return {k: folder / v if k in relative else v for k, v in given.items()}


def _environment_fault(error: ValidationError, given: dict[str, Any]) -> BadInput:
    problems = []
    for fault in error.errors(include_url=False, include_input=False):
        name = str(fault["loc"][0])
        where = f"--{name}" if name in given else f"COORDINATOR_{name.upper()}"
        problems.append(Problem(where, fault["msg"]))
    return BadInput("a setting cannot be used", problems=problems)


def _secrets(path: Path) -> dict[str, Secret]:
    """KEY=value lines of a file that nobody else may read."""
    if not path.exists():
        return {}
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"{path} may be read by others", hint=f"chmod 600 {path}")
    if _tracked(path):
        raise UsageError(
            f"{path} is tracked by git",
            why="secrets must not get into a history",
            hint=f"git rm --cached {path}, and change the secrets in it",
        )
    try:
        values = dotenv_values(stream=io.StringIO(path.read_text("utf-8")), interpolate=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read", why=type(error).__name__, hint="write KEY=value lines"
        ) from error
    return {key: Secret(value) for key, value in values.items() if value is not None}


def _tracked(path: Path) -> bool:
    command = ["git", "-C", str(path.parent), "ls-files", "--error-unmatch", path.name]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:  # no git here
        return False
