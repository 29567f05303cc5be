"""The process of a model as the engine starts it, but for its texts: they are its tokens, in JSON.

So what came through the engine can be compared token by token.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

from coordinator.inference import server
from coordinator.inference.backend import Backend, Output

_load = server.load_backend


class Undecoded:
    """A backend that tells its tokens."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def decode(self, outputs: Sequence[Output]) -> list[str]:
        return [json.dumps(output.data) for output in outputs]


def _undecoded(*given: Any) -> Any:
    return Undecoded(_load(*given))


if __name__ == "__main__":
    server.load_backend = _undecoded
    sys.exit(server.main())
