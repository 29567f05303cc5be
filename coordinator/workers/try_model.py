"""`python -m coordinator.workers.try_model FOLDER SOURCE TARGET`: sample sentences through a model.

Prints one JSON object: `{"pairs": [[sentence, translation], ...]}` or `{"error": {...}}`.
"""

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from coordinator.errors import CoordinatorError
from coordinator.inference import try_handler


def main() -> int:
    folder, source, target = sys.argv[1:4]
    with redirect_stdout(sys.stderr):  # what a handler prints is not the result
        document = _tried(Path(folder), source, target)
    json.dump(document, sys.stdout, ensure_ascii=False)
    return 1 if "error" in document else 0


def _tried(folder: Path, source: str, target: str) -> dict[str, Any]:
    try:
        return {"pairs": try_handler(folder, source, target)}
    except CoordinatorError as error:
        return {"error": {"what": error.what, "why": error.why, "hint": error.hint}}
    except MemoryError as error:
        return {"error": {"what": "the model needs more memory", "why": str(error), "hint": ""}}


if __name__ == "__main__":
    sys.exit(main())
