"""Sample sentences through a model, by `python -m coordinator.workers.try_model`.

Its arguments are the model's folder, source and target language, and the task of an endpoint.
Reads which servers may be asked, a `Reach` in JSON; nothing = public ones. Prints one JSON object:
`{"pairs": [[sentence, translation], ...]}` or `{"error": {...}}`.
"""

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from coordinator.domain.reach import Reach
from coordinator.errors import CoordinatorError
from coordinator.inference import try_handler
from coordinator.storage import fetching
from coordinator.workers.discretion import learn_own, told


def main() -> int:
    folder, source, target, task = sys.argv[1:5]
    learn_own()
    fetching.allow(Reach.model_validate_json(sys.stdin.read() or "{}"))
    with redirect_stdout(sys.stderr):  # what a handler prints is not the result
        document = _tried(Path(folder), source, target, task)
    json.dump(document, sys.stdout, ensure_ascii=False)
    return 1 if "error" in document else 0


def _tried(folder: Path, source: str, target: str, task: str) -> dict[str, Any]:
    try:
        return {"pairs": try_handler(folder, source, target, task=task)}
    except CoordinatorError as error:
        return _fault(error.what, error.why, error.hint)
    except MemoryError as error:
        return _fault("the model needs more memory", str(error), "")


def _fault(what: str, why: str, hint: str) -> dict[str, Any]:
    return {"error": {"what": told(what), "why": told(why), "hint": told(hint)}}


if __name__ == "__main__":
    sys.exit(main())
