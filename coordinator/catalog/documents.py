"""Reading JSON and NDJSON from outside: size limits, and faults in plain words."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from coordinator.errors import BadInput, CredentialsError, SourceUnreachable
from coordinator.storage.fetching import MAX_LINE_BYTES
from coordinator.storage.hrefs import shown
from coordinator.storage.locations import open_location


class NotJson(ValueError):
    """Why some bytes are no JSON document."""


def parse(data: bytes) -> Any:
    """The JSON in `data`.

    Raises:
        NotJson: it is none.
    """
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise NotJson(f"not JSON ({place}: {error.msg.lower()})") from error
    except UnicodeDecodeError as error:
        raise NotJson("not UTF-8") from error
    except RecursionError as error:
        raise NotJson("nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits
        raise NotJson(str(error)) from error


def fetch(location: str) -> bytes:
    """All bytes at `location`.

    Raises:
        BadInput: nothing that can be read is there.
        SourceUnreachable: its server does not answer, or refuses the keys.
    """
    with opened(location) as stream:
        return stream.read()


def opened(location: str) -> BinaryIO:
    """A stream of what is at `location`; errors as those of `fetch`."""
    try:
        return open_location(location)
    except CredentialsError as error:
        raise SourceUnreachable(error.what, why=error.why, hint=error.hint) from error


def ndjson(stream: BinaryIO, location: str) -> Iterator[tuple[int, Any, str]]:
    """Line number, document and fault of each line that is not blank; one of the two is empty.

    Raises:
        BadInput: the first line is no JSON object, so the file is of another kind.
    """
    number, seen = 0, False
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if not line.strip():
            continue
        document, fault = _one_line(line)
        if fault and not seen:
            raise not_usable(location, f"line {number} is {fault}")
        if len(line) > MAX_LINE_BYTES:
            raise not_usable(location, f"line {number} is longer than {MAX_LINE_BYTES:,} bytes")
        seen = True
        yield number, document, fault


def _one_line(line: bytes) -> tuple[Any, str]:
    try:
        return parse(line.removeprefix(b"\xef\xbb\xbf")), ""
    except NotJson as error:
        return None, str(error)


def not_usable(location: str, why: str) -> BadInput:
    return BadInput(
        f"{shown(location)} is no catalog of items",
        why=why,
        hint="give a STAC catalog, collection, ItemCollection or NDJSON file of items",
    )
