"""What is secret in an environment, in addresses, and in the files where keys are usually kept."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from coordinator.secrecy.mask import MARK

NAMES = "COORDINATOR_SECRET_NAMES"
"""The variable by which a job is told which others are secret, whatever they are called."""

_SECRET_NAME = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|(^|_)PASS$|(^|_)TOKEN$"
    r"|(^|_)(API|ACCESS|PRIVATE|ACCOUNT|AUTH)_?KEY(_ID)?$",
    re.IGNORECASE,
)
_SECRET_PARAMETER = re.compile(
    r"sig|token|key|secret|passw|credential|auth|policy|code", re.IGNORECASE
)
_WITH_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/@]*:[^\s/@]*@\S*")
_USER_OF_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@\"'<>]+@")
_PARAMETER_OF_ADDRESS = re.compile(
    rf"([?&;][\w.-]*(?:{_SECRET_PARAMETER.pattern})[\w.-]*=)[^&;\s\"'<>\\]+", re.IGNORECASE
)
_OF_HEADER = re.compile(
    r"\b(Bearer|Authorization\W{1,4}Basic)\s+[A-Za-z0-9._~+/=-]{12,}", re.IGNORECASE
)
_OF_A_PROFILE = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


def in_environment(environment: Mapping[str, str]) -> set[str]:
    """By the variables' names, and the passwords of proxies and the like in any of them."""
    named = set(environment.get(NAMES, "").split(","))
    found = {
        value
        for name, value in environment.items()
        if name in named or (is_secret(name) and not _is_path(value))
    }
    for value in environment.values():
        found |= in_words([value])
    return found


def in_words(words: Iterable[str]) -> set[str]:
    """Of addresses that stand in text, such as an argument."""
    addresses = (found[0] for word in words for found in _WITH_PASSWORD.finditer(word))
    return {secret for address in addresses for secret in in_address(address)} | {
        secret for word in words for secret in in_address(word)
    }


def in_address(address: str) -> set[str]:
    """A password, and what of its query signs an address or opens a door."""
    try:
        parts = urlsplit(address.strip())
        password = parts.password or parts.username or ""  # a name alone may be a token
    except ValueError:
        return set()  # no address
    if not parts.scheme or not parts.netloc:
        return set()
    signs = _signs(parts.query)
    whole = {parts.query} if signs else set()
    found = {password, *signs, *whole}
    return {form for secret in found if secret for form in (secret, unquote(secret))}


def without_secrets(address: str) -> str:
    """The address as it may be kept: with a mark in place of what is secret of it."""
    if not in_address(address):
        return address
    parts = urlsplit(address.strip())
    user, _, host = parts.netloc.rpartition("@")
    query = MARK if _signs(parts.query) else parts.query
    return parts._replace(netloc=f"{MARK}@{host}" if user else host, query=query).geturl()


def scrubbed(text: str) -> str:
    """The text with a mark in place of what looks like a secret, whoever wrote it.

    That is: passwords of addresses, parameters of addresses by whose names they are secret, and
    what follows `Bearer` or `Authorization: Basic`. For texts that go to others.
    """
    text = _USER_OF_ADDRESS.sub(rf"\1{MARK}@", text)
    text = _PARAMETER_OF_ADDRESS.sub(rf"\1{MARK}", text)
    return _OF_HEADER.sub(rf"\1 {MARK}", text)


def in_files(environment: Mapping[str, str]) -> set[str]:
    """Keys in the AWS files and passwords in .netrc, for this user."""
    home = environment.get("HOME", "")
    aws = (
        environment.get("AWS_SHARED_CREDENTIALS_FILE") or f"{home}/.aws/credentials",
        environment.get("AWS_CONFIG_FILE") or f"{home}/.aws/config",
    )
    found = {secret for file in aws for secret in _in_aws_file(Path(file))}
    return found | set(_in_netrc(Path(environment.get("NETRC") or f"{home}/.netrc")))


def _in_aws_file(path: Path) -> Iterator[str]:
    if not path.is_file():
        return
    import configparser  # where there is such a file only: a worker starts often

    parser = configparser.RawConfigParser()
    with suppress(OSError, UnicodeDecodeError, configparser.Error):
        parser.read_string(path.read_text("utf-8"))
    for section in parser.sections():
        yield from (parser[section][name] for name in _OF_A_PROFILE if name in parser[section])


def _in_netrc(path: Path) -> Iterator[str]:
    if not path.is_file():
        return
    import netrc

    with suppress(OSError, UnicodeDecodeError, netrc.NetrcParseError):
        yield from (password for _, _, password in netrc.netrc(str(path)).hosts.values())


def _signs(query: str) -> set[str]:
    """The values, as they stand, of parameters by whose names they are secret."""
    split = (pair.partition("=") for pair in query.split("&"))
    return {value for name, _, value in split if _SECRET_PARAMETER.search(name)}


def is_secret(name: str) -> bool:
    """Whether what has this name is a secret."""
    return name != NAMES and _SECRET_NAME.search(name) is not None


def _is_path(value: str) -> bool:
    """Whether it only says where a secret lies."""
    with suppress(OSError, ValueError):
        return value.startswith(("/", "~", ".")) and Path(value).expanduser().exists()
    return False
