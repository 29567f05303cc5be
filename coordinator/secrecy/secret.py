"""A value that never prints itself."""

import hmac
from typing import Any, Never

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from coordinator.secrecy.mask import MARK


class Secret:
    """Text that only `reveal` gives away: no repr, format, JSON, pickle or traceback does."""

    __slots__ = ("_value",)

    def __init__(self, value: "str | Secret") -> None:
        self._value: str = value._value if isinstance(value, Secret) else value

    def reveal(self) -> str:
        """The value, for the one call that needs it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self._value), _bytes(other._value))

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return f"Secret({MARK})"

    def __str__(self) -> str:
        return MARK

    def __format__(self, _spec: str) -> str:
        return MARK

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, _memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, _protocol: object) -> Never:
        raise TypeError("a secret is not pickled")

    @classmethod
    def __get_pydantic_core_schema__(cls, _type: Any, _next: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _validated, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


NO_SECRET = Secret("")


def _validated(value: object) -> Secret:
    if not isinstance(value, str | Secret):
        raise ValueError("a secret is text")
    return Secret(value)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
