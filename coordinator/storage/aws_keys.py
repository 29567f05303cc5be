"""The caller's AWS keys: where they come from, until when they are good, and how to hand them on.

Keys are read by the standard chain of the AWS SDK. Nothing here prints or logs one.
"""

import configparser
import io
import os
import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.errors import KeysRefused
from coordinator.secrecy import Secret, known
from coordinator.secrecy.sources import in_files

if TYPE_CHECKING:
    import boto3

HANDED_IN = "coordinator-handed-in"  # the profile of keys that were handed in to a running batch
KEY_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
"""Environment variables that say who the caller is."""

_EXPIRY = ("expiration", "aws_expiration", "aws_session_expiration", "x_security_token_expires")
_PLAIN = re.compile(r"[\x21-\x7e]*")
_ORIGINS = {
    "env": "the environment",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the AWS config file",
    "sso": "AWS SSO",
    "login": "aws login",
    "assume-role": "an assumed role",
    "assume-role-with-web-identity": "a web identity",
    "custom-process": "a credential process",
    "iam-role": "the role of this machine",
    "container-role": "the role of this container",
}


@dataclass(frozen=True)
class AwsKeys:
    """Keys of one moment.

    Attributes:
        origin: where they come from, in words.
        method: the SDK's name of it.
        profile: of the AWS files, or "".
        role: whom they stand for, where that is known on this machine; else "".
        expires: epoch seconds; None = not known, or never.
    """

    access_key: Secret
    secret_key: Secret
    token: Secret
    origin: str
    method: str
    profile: str = ""
    role: str = ""
    expires: float | None = None

    def as_file(self, profile: str = "default") -> Secret:
        """The text of an AWS credentials file."""
        parser = configparser.RawConfigParser()
        parser[profile] = {
            "aws_access_key_id": self.access_key.reveal(),
            "aws_secret_access_key": self.secret_key.reveal(),
        }
        if self.token:
            parser[profile]["aws_session_token"] = self.token.reveal()
        if self.expires is not None:
            moment = datetime.fromtimestamp(self.expires).astimezone()
            parser[profile]["expiration"] = moment.isoformat(timespec="seconds")
        text = io.StringIO()
        parser.write(text)
        return Secret(text.getvalue())

    def renewal(self, batch: str) -> str:
        """What somebody has to do so that a running batch has new ones."""
        by_hand = f"coordinator credentials {batch}"
        if self.method in ("env", "") or self.profile == HANDED_IN:
            return f"with new keys in the environment: {by_hand}"
        if self.method in ("sso", "login"):
            profile = f" --profile {self.profile}" if self.profile else ""
            command = "aws sso login" if self.method == "sso" else "aws login"
            return f"{command}{profile}; that is noticed by itself"
        if self.method in ("shared-credentials-file", "config-file"):
            return f"renew the file, that is noticed by itself; or {by_hand}"
        return f"they renew themselves; else {by_hand}"


def caller_keys() -> AwsKeys:
    """The keys that this process would use now, read anew.

    Raises:
        KeysRefused: there are none, or they are known to have expired.
    """
    import boto3  # takes a while to import
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.session.Session()
        found = session.get_credentials()
        if found is None:
            raise _no_keys("none were found")
        frozen = found.get_frozen_credentials()
    except (BotoCoreError, RuntimeError) as error:  # RuntimeError: known to have expired
        raise _no_keys(str(error)) from error
    access_key, secret_key, token = (
        Secret(value or "") for value in (frozen.access_key, frozen.secret_key, frozen.token)
    )
    known.learn((access_key, secret_key, token))
    if not all(_PLAIN.fullmatch(each.reveal()) for each in (access_key, secret_key, token)):
        raise _no_keys("they hold characters that no key has")
    return AwsKeys(
        access_key,
        secret_key,
        token,
        origin=_origin(found.method, session),
        method=found.method,
        profile=_profile(session),
        role=_role(session),
        expires=_expiry(found, session),
    )


def adopt(file: Path, environment: MutableMapping[str, str] = os.environ) -> None:
    """Make the keys of `file`, as `as_file(HANDED_IN)` wrote it, those of this process.

    Where the objects lie stays as it was, also where a profile said so.
    """
    for name, value in _places().items():
        environment.setdefault(name, value)
    for name in KEY_VARIABLES:
        environment.pop(name, None)
    environment["AWS_SHARED_CREDENTIALS_FILE"] = str(file)
    environment["AWS_PROFILE"] = HANDED_IN
    known.learn(in_files(environment))


def have_been_handed_in() -> bool:
    """Whether this process works with keys that it adopted."""
    return os.environ.get("AWS_PROFILE") == HANDED_IN


def _places() -> dict[str, str]:
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.session.Session()
        endpoint = str(_scoped(session).get("endpoint_url", ""))
    except BotoCoreError:
        return {}
    found = {"AWS_DEFAULT_REGION": session.region_name or "", "AWS_ENDPOINT_URL": endpoint}
    return {name: value for name, value in found.items() if value}


def _profile(session: "boto3.session.Session") -> str:
    return session.profile_name if session.profile_name != "default" else ""


def _origin(method: str, session: "boto3.session.Session") -> str:
    profile = _profile(session)
    if profile == HANDED_IN:
        return "keys that were handed in"
    words = _ORIGINS.get(method, method)
    return f"{words}, profile {profile}" if profile and method != "env" else words


def _scoped(session: "boto3.session.Session") -> dict[str, Any]:
    """The settings of the session's profile, from both AWS files."""
    found: dict[str, Any] = session._session.get_scoped_config()
    return found


def _role(session: "boto3.session.Session") -> str:
    settings = _scoped(session)
    account = f" of account {settings['sso_account_id']}" if "sso_account_id" in settings else ""
    role = settings.get("role_arn") or os.environ.get("AWS_ROLE_ARN")
    return str(role or settings.get("sso_role_name", "")) + account


def _expiry(found: Any, session: "boto3.session.Session") -> float | None:
    """When the keys end: as the SDK knows it, or as tools that write AWS files note it there."""
    moment = getattr(found, "_expiry_time", None)
    if isinstance(moment, datetime):
        return moment.timestamp()
    settings = _scoped(session) if found.method == "shared-credentials-file" else {}
    for text in (settings[name] for name in _EXPIRY if name in settings):
        try:
            return datetime.fromisoformat(str(text)).timestamp()
        except ValueError:
            continue
    return None


def _no_keys(why: str) -> KeysRefused:
    return KeysRefused(
        "no AWS keys can be used",
        why=why,
        hint="log in (aws sso login), or put keys into the environment or the AWS files",
    )
