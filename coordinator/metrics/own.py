"""A metric of one's own: a class in a Python file beside the registry, or in a package.

Loading it runs its code, so it is only loaded where a file that the user named asks for it. What
goes wrong in it is told by class, file and line.
"""

import hashlib
import importlib
import importlib.util
import json
import math
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.errors import BadInput, CoordinatorError
from coordinator.metrics.metric import Metric, Prepared, Statistics


def load_own(name: str, target: str, options: Mapping[str, Any], folder: Path | None) -> Metric:
    """The metric of class `target` (`module:Class`), made with `options` as keyword arguments.

    The module is `module.py` in `folder` (`a.b` is `a/b.py`), or else an installed one.

    Raises:
        BadInput: it cannot be loaded, or is no metric.
    """
    module_name, _, class_name = target.partition(":")
    with _told(f"the metric {target} cannot be loaded"):
        module = _module(module_name, folder)
        made = _class(module, class_name, target)(name=name, **options)
    return Guarded(name, target, made, _code(module), options)


def _class(module: ModuleType, name: str, target: str) -> Any:
    found = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, Metric):
        return found
    where = getattr(module, "__file__", None) or module.__name__
    why = "it is no class derived from Metric or TextMetric" if found else f"not in {where}"
    raise BadInput(
        f"the metric {target} cannot be loaded",
        why=why,
        hint="from coordinator.metrics import TextMetric",
    )


def _module(name: str, folder: Path | None) -> ModuleType:
    path = (folder or Path()).joinpath(*name.split(".")).with_suffix(".py")
    if folder is None or not path.is_file():
        return importlib.import_module(name)
    unique = f"coordinator_own_metrics.{name}"  # it hides no installed module
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{path} cannot be loaded", why="it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # dataclasses and pickle look there
    spec.loader.exec_module(module)
    return module


class Guarded(Metric):
    """A metric of one's own; what it raises, or returns wrongly, is a BadInput that names it."""

    def __init__(
        self, name: str, target: str, metric: Metric, code: str, options: Mapping[str, Any]
    ) -> None:
        super().__init__(name)
        self._target, self._metric, self._code = target, metric, code
        self._options = json.dumps(options, sort_keys=True) if options else ""
        self.is_of_texts = metric.is_of_texts

    @property
    def recipe(self) -> str:
        """What was prepared by other code, or with other options, is of no use."""
        return f"{self._target} {self._code} {self._options}"

    def prepare(self, references: Sequence[Sequence[str]]) -> Prepared:
        with self._method("prepare"):
            return self._metric.prepare(references)

    def statistics(self, hypotheses: Sequence[str], prepared: Prepared) -> Statistics:
        with self._method("statistics"):
            rows = np.asarray(self._metric.statistics(hypotheses, prepared))
        if rows.ndim != 2 or len(rows) != len(hypotheses) or rows.dtype.kind not in "iuf":
            raise self._wrong(
                "statistics", f"{len(hypotheses)} rows of numbers, all of one width", rows.shape
            )
        return rows

    def score(self, statistics: Statistics) -> float:
        with self._method("score"):
            found = self._metric.score(statistics)
        return self._number("score", found)

    def sentence_scores(self, statistics: Statistics) -> NDArray[np.float64]:
        with self._method("sentence_scores"):
            return self._metric.sentence_scores(statistics)

    def signature(self, references: int = 1) -> str:
        """The class's own, its options, and the beginning of its file's hash: whatever else it
        is made of, the numbers are others.
        """
        options = f"|options:{self._options}" if self._options else ""
        with self._method("signature"):
            return f"{self._metric.signature(references)}{options}|code:{self._code[:8]}"

    def _number(self, method: str, found: object) -> float:
        if isinstance(found, bool) or not isinstance(found, int | float | np.number):
            raise self._wrong(method, "a number", type(found).__name__)
        if not math.isfinite(found):
            raise self._wrong(method, "a finite number", found)
        return float(found)

    def _wrong(self, method: str, wanted: str, found: object) -> BadInput:
        return BadInput(
            f"the metric {self._target} failed",
            why=f"{method} returned {found}, not {wanted}",
            hint="see docs/metrics.md",
        )

    @contextmanager
    def _method(self, name: str) -> Iterator[None]:
        with _told(f"the metric {self._target} failed in {name}"):
            yield


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Any error from inside as a BadInput with its file and line."""
    try:
        yield
    except CoordinatorError:
        raise
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}{_place(error)}"
        raise BadInput(what, why=why, hint="mend the class; see docs/metrics.md") from error


def _place(error: BaseException) -> str:
    """Where it was raised: the last line that is neither of this package nor of the importer."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}:{error.lineno})"
    here = str(Path(__file__).parent)
    files = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    own = [(name, line) for name, line in files if not name.startswith((here, "<frozen"))]
    return f" ({own[-1][0]}:{own[-1][1]})" if own else ""


def _code(module: ModuleType) -> str:
    """The hash of the module's file; of its name where it has none."""
    path = getattr(module, "__file__", None)
    code = Path(path).read_bytes() if path else module.__name__.encode()
    return hashlib.sha256(code).hexdigest()
