"""How loops are compiled. Importing this module imports numba."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba import types

_Loop = TypeVar("_Loop", bound=Callable[..., Any])

INT32 = types.Array(types.int32, 1, "C", readonly=True)
INT64 = types.Array(types.int64, 1, "C", readonly=True)


def compiled(signature: Any = None) -> Callable[[_Loop], _Loop]:
    """A decorator: numba.njit, kept on disk where there is a folder for it (NUMBA_CACHE_DIR).

    With a signature it is compiled (or read) at once, else for the types of its first caller.
    """

    def decorate(function: _Loop) -> _Loop:
        try:
            loop: _Loop = numba.njit(signature, cache=True, nogil=True)(function)
        except RuntimeError:  # no folder that can be written to
            loop = numba.njit(signature, nogil=True)(function)
        return loop

    return decorate
