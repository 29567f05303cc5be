"""Values as every format can hold them."""

import math
from collections.abc import Mapping
from typing import Any

_INT64 = 2**63


def plain(value: Any) -> Any:
    """The value without what JSON or a column has no place for: no NaN, and no number too large.

    It came out of logs, where anything may stand; what cannot be is None.
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()  # no half of a surrogate pair
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(own) for key, own in value.items()}
    return [plain(own) for own in value]
