"""Which metrics a pipeline file asks for: checked without loading any of them."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.errors import BadInput, Problem

DEFAULT_METRICS = ("bleu", "chrf", "chrf++")
TOKENIZERS = ("13a", "intl", "zh", "char", "none", "ja-mecab", "ko-mecab")

# sacrebleu fetches these from the network when they are named; nothing is fetched while scoring.
_FETCHED = frozenset({"spm", "flores101", "flores200", "spbleu-1k"})

# Metric -> its switches (false unless set) -> what a set one adds to the metric's name.
_SWITCHES: dict[str, dict[str, str]] = {
    "bleu": {"lowercase": "lc"},
    "spbleu": {"leaderboard": "leaderboard", "lowercase": "lc"},
    "chrf": {"lowercase": "lc", "whitespace": "space"},
    "chrf++": {"lowercase": "lc", "whitespace": "space"},
    "ter": {
        "normalized": "norm",
        "no_punct": "nopunct",
        "asian_support": "asian",
        "case_sensitive": "cased",
    },
    "accuracy": {},
    "f1": {},
}
_TEXTS: dict[str, str] = {  # metric -> its textual setting
    "bleu": "tokenize",
    "spbleu": "model",
    "f1": "average",
}
LABEL_METRICS = ("accuracy", "f1")
OWN = "own"
AVERAGES = ("macro", "micro", "weighted")  # of F1, over the labels
_CLASS = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}:[A-Za-z_][A-Za-z0-9_]{0,63}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]{0,31}")


@dataclass(frozen=True)
class MetricSpec:
    """One metric with its settings.

    Attributes:
        kind: `bleu`, `spbleu`, `chrf`, `chrf++`, `ter`, `accuracy` or `f1`.
        switches: the switches that are on, sorted.
        tokenize: BLEU's tokenizer.
        model: spBLEU's SentencePiece file.
        label: replaces the settings in the name, where two metrics would be called the same.
        average: F1's, over the labels.
    """

    kind: str
    switches: tuple[str, ...] = ()
    tokenize: str = "13a"
    model: Path | None = None
    label: str = ""
    average: str = ""

    @property
    def name(self) -> str:
        """The key in outputs; it always begins with the kind: `bleu`, `bleu-intl-lc`, `chrf++`."""
        suffixes = self._suffixes()
        if self.label:  # which compatibility mode it is, no label hides
            suffixes = [*(s for s in suffixes if s == "leaderboard"), self.label]
        return "-".join([self.kind, *suffixes])

    def _suffixes(self) -> list[str]:
        tokenizer = [] if self.tokenize == "13a" else [self.tokenize]
        average = [self.average] if self.average else []
        return tokenizer + average + [_SWITCHES[self.kind][switch] for switch in self.switches]

    def to_option(self) -> dict[str, Any]:
        """The entry of a pipeline file that `parse_metrics` reads as this very metric."""
        texts = {"tokenize": self.tokenize} if self.kind == "bleu" else {}
        texts |= {"average": self.average} if self.average else {}
        model = {"model": str(self.model)} if self.model else {}
        label = {"label": self.label} if self.label else {}
        return {"name": self.kind} | texts | model | dict.fromkeys(self.switches, True) | label


@dataclass(frozen=True)
class OwnSpec(MetricSpec):
    """A metric of one's own: `{class: "my_metrics:ExactMatch", options: {...}}`.

    Attributes:
        target: `module:Class`.
        options: its keyword arguments, as JSON.
        folder: where the module is looked for first.
    """

    target: str = ""
    options: str = "{}"
    folder: Path | None = None

    @property
    def name(self) -> str:
        """The key in outputs: the label, or the name of the class."""
        return self.label or self.target.partition(":")[2]

    def to_option(self) -> dict[str, Any]:
        label = {"label": self.label} if self.label else {}
        return {"class": self.target, "options": json.loads(self.options)} | label


def lower_is_better(name: str) -> bool:
    """Whether a smaller score of the metric called `name` is the better one."""
    return name.partition("-")[0] == "ter"


def parse_metrics(
    entries: object, *, where: str = "metrics", base: Path | None = None, own: bool = False
) -> tuple[MetricSpec, ...]:
    """The metrics that a list such as `[bleu, {name: bleu, tokenize: intl}]` names.

    Args:
        entries: the list, as YAML or JSON gives it.
        where: what to call the list in messages, e.g. `pipeline.yml:12`.
        base: the folder that a relative `model` path starts from; None leaves it as it is.
        own: whether entries may name a class, which will be loaded from `base`: that runs its code.

    Raises:
        BadInput: every fault of every entry.
    """
    if not isinstance(entries, list | tuple) or not entries:
        fix = f"for example: {', '.join(DEFAULT_METRICS)}"
        raise _refused(where, [Problem(where, "not a list of at least one metric", fix)])
    readers = [_reader(f"{where}[{i}]", entry, own) for i, entry in enumerate(entries)]
    specs = [reader.spec(base) for reader in readers]
    problems = [problem for reader in readers for problem in reader.problems]
    if not problems:
        problems = list(_twins(specs, where))
    if problems:
        raise _refused(where, problems)
    return tuple(specs)


def _reader(where: str, entry: object, own: bool) -> "_Entry":
    is_class = isinstance(entry, Mapping) and "class" in entry
    return _OwnEntry(where, entry) if own and is_class else _Entry(where, entry)


class _Entry:
    """One entry of the list, with what is wrong with it."""

    def __init__(self, where: str, entry: object) -> None:
        self._where = where
        self.problems: list[Problem] = []
        self._fields: dict[str, Any] = self._as_fields(entry)
        self._kind = self._checked_kind()

    def spec(self, base: Path | None) -> MetricSpec:
        """The metric; of use only where `problems` stays empty."""
        if self._kind is None:
            return MetricSpec("")
        self._check_keys(self._kind)
        return MetricSpec(
            self._kind,
            self._switches(self._kind),
            self._tokenizer() if self._kind == "bleu" else "13a",
            self._model(base) if self._kind == "spbleu" else None,
            self._label(),
            self._average() if self._kind == "f1" else "",
        )

    def _as_fields(self, entry: object) -> dict[str, Any]:
        if isinstance(entry, str):
            return {"name": entry}
        if isinstance(entry, Mapping):
            return {str(key): value for key, value in entry.items()}
        self._refuse("neither a metric's name nor a mapping with `name`")
        return {}

    def _checked_kind(self) -> str | None:
        name = self._fields.get("name")
        if isinstance(name, str) and name in _SWITCHES:
            return name
        if name is not None:
            known = f"known: {', '.join(_SWITCHES)}"
            self._refuse(f"unknown metric {name!r}", _nearest(str(name), _SWITCHES) or known)
        elif "class" in self._fields:
            self._refuse("a class of one's own", "name it in a registry: see docs/metrics.md")
        elif self._fields:
            self._refuse("no `name`", f"one of {', '.join(_SWITCHES)}")
        elif not self.problems:
            self._refuse("an empty mapping", f"give `name`: one of {', '.join(_SWITCHES)}")
        return None

    def _check_keys(self, kind: str) -> None:
        known = ["name", "label", *_SWITCHES[kind]] + ([_TEXTS[kind]] if kind in _TEXTS else [])
        for key in self._fields.keys() - set(known):
            fix = _nearest(key, known) or f"{kind} knows: {', '.join(known)}"
            self._refuse(f"unknown key {key!r}", fix)

    def _switches(self, kind: str) -> tuple[str, ...]:
        given = {key: self._fields[key] for key in _SWITCHES[kind] if key in self._fields}
        for key, value in given.items():
            if not isinstance(value, bool):
                self._refuse(f"{key} is {value!r}", "write true or false", key)
        chosen = sorted(key for key, value in given.items() if value is True)
        if chosen == ["leaderboard", "lowercase"]:
            self._refuse("the leaderboard's spBLEU has no lowercase", "leave one of them out")
        return tuple(chosen)

    def _tokenizer(self) -> str:
        name = str(self._fields.get("tokenize", "13a"))
        if name.lower() in _FETCHED:
            fix = "get the file yourself and write {name: spbleu, model: PATH}"
            self._refuse(f"tokenizer {name!r} would be downloaded while scoring", fix, "tokenize")
        elif name not in TOKENIZERS:
            known = f"known: {', '.join(TOKENIZERS)}"
            self._refuse(f"unknown tokenizer {name!r}", _nearest(name, TOKENIZERS) or known)
        return name

    def _model(self, base: Path | None) -> Path | None:
        model = self._fields.get("model")
        if not isinstance(model, str) or not model or "\0" in model:
            self._refuse("spbleu needs `model`", "the path of a SentencePiece file", "model")
            return None
        return Path(model) if base is None else base / model

    def _average(self) -> str:
        average = str(self._fields.get("average", ""))
        if average not in AVERAGES:
            said = f"f1 with average {average!r}" if average else "f1 needs `average`"
            self._refuse(said, _nearest(average, AVERAGES) or f"one of {', '.join(AVERAGES)}")
        return average

    def _label(self) -> str:
        label = str(self._fields.get("label", ""))
        if "label" in self._fields and not _LABEL.fullmatch(label):
            self._refuse(f"label {label!r}", "1 to 32 of A-Z a-z 0-9 _ .", "label")
        return label

    def _refuse(self, reason: str, fix: str = "", field: str = "") -> None:
        self.problems.append(Problem(self._where, reason, fix, field))


class _OwnEntry(_Entry):
    """An entry that names a class."""

    _KEYS = ("class", "options", "label")

    def _checked_kind(self) -> str | None:
        return OWN

    def spec(self, base: Path | None) -> MetricSpec:
        for key in self._fields.keys() - set(self._KEYS):
            fix = _nearest(key, self._KEYS) or f"known: {', '.join(self._KEYS)}"
            self._refuse(f"unknown key {key!r}", fix)
        target = self._target()
        spec = OwnSpec(
            OWN, label=self._label(), target=target, options=self._options(), folder=base
        )
        if spec.name in _SWITCHES:
            self._refuse(f"it would be called {spec.name!r}", "give another `label`", "label")
        return spec

    def _target(self) -> str:
        target = str(self._fields["class"])
        if not _CLASS.fullmatch(target):
            self._refuse(
                f"class {target!r}", 'module:Class, as in "my_metrics:ExactMatch"', "class"
            )
        return target

    def _options(self) -> str:
        options = self._fields.get("options") or {}
        if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
            self._refuse("options are no mapping of names", "keyword arguments", "options")
            return "{}"
        return json.dumps(options, sort_keys=True)


def _twins(specs: Sequence[MetricSpec], where: str) -> Iterable[Problem]:
    for name, count in Counter(spec.name for spec in specs).items():
        if count > 1:
            fix = "leave one out, or tell them apart by `label`"
            yield Problem(where, f"{count} metrics are called {name!r}", fix)


def _nearest(word: str, names: Iterable[str]) -> str:
    found = difflib.get_close_matches(word.lower(), list(names), n=2)
    return f"did you mean {', '.join(found)}?" if found else ""


def _refused(where: str, problems: list[Problem]) -> BadInput:
    return BadInput(
        f"the metrics in {where} cannot be used",
        why="; ".join(str(problem) for problem in problems),
        hint=f"metrics are {', '.join(_SWITCHES)}, for example {{name: bleu, tokenize: intl}}",
        problems=problems,
    )
