"""YAML as configuration files need it: plain data, no surprises, and every fault with its line."""

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from coordinator.errors import BadInput, Problem

MAX_BYTES = 1_000_000
LONGEST_NUMBER = 1000  # characters
MAX_DEPTH = 30  # a parser's time grows with the square of the depth

Path_ = tuple[str | int, ...]


class _StrictLoader(yaml.SafeLoader):
    """Safe types only; no aliases, no twin keys.

    Words and dates stay text, and so does `1:30`, which YAML 1.1 takes for the number 90.
    """


_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag.endswith(":null")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PLAIN = {
    "bool": (r"true|True|false|False", "tTfF"),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    "float": (r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
}
for _type, (_rule, _first) in _PLAIN.items():
    _StrictLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_type}", re.compile(f"^(?:{_rule})$"), list(_first)
    )


class YamlDocument:
    """The data of a YAML file, and the line of each of its keys."""

    def __init__(self, name: str, data: dict[str, Any], lines: dict[Path_, int]) -> None:
        self.name, self.data, self._lines = name, data, lines

    def where(self, path: Path_) -> str:
        """`file:line` of the key at `path`, or of its nearest parent."""
        while path and path not in self._lines:
            path = path[:-1]
        return f"{self.name}:{self._lines.get(path, 1)}"

    def below(self, path: Path_) -> "YamlDocument":
        """The part at `path`, with the lines of the whole."""
        return _Below(self, path)


class _Below(YamlDocument):
    """A part of a document."""

    def __init__(self, whole: YamlDocument, path: Path_) -> None:
        super().__init__(whole.name, whole.data, {})
        self._whole, self._path = whole, path

    def where(self, path: Path_) -> str:
        return self._whole.where((*self._path, *path))


def read_yaml(path: Path) -> YamlDocument:
    """The mapping in the YAML file at `path`.

    Raises:
        BadInput: not there, too large, not YAML, aliases, repeated keys, or no mapping.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read",
            why=error.strerror or str(error),
            hint="check the path and the rights",
        ) from error
    if len(raw) > MAX_BYTES:
        raise BadInput(f"{path} is larger than {MAX_BYTES:,} bytes", hint="is it the right file?")
    return parse_yaml(raw, str(path))


def parse_yaml(raw: bytes, name: str) -> YamlDocument:
    """As `read_yaml`, of bytes; `name` is for messages."""
    try:
        node = _compose(raw, name)
        lines: dict[Path_, int] = {}
        _check(node, (), lines, name)
        data = _StrictLoader("").construct_document(node) if node else {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = f"{name}:{line}" if (line := _line_of(error, raw)) else name
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise BadInput(f"{where} is not plain YAML", why=reason) from error
    if not isinstance(data, dict):
        raise BadInput(f"{name} holds no mapping", hint="write `key: value` lines")
    return YamlDocument(name, data, lines)


def _line_of(error: Exception, raw: bytes) -> int:
    """The line that an error speaks of, from 1; 0 = it does not say."""
    if isinstance(error, ReaderError):
        return raw.decode("utf-8", "replace").count("\n", 0, error.position) + 1
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark else 0


def _compose(raw: bytes, name: str) -> yaml.Node | None:
    loader = _StrictLoader(raw)
    depth = 0
    for event in yaml.parse(raw, Loader=_StrictLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise BadInput(f"{name}:{line} uses an alias", hint="write the value out")
        if depth > MAX_DEPTH:
            raise BadInput(f"{name}:{line} nests deeper than {MAX_DEPTH} levels")
    return loader.get_single_node()


def _is_endless(node: yaml.ScalarNode) -> bool:
    return len(node.value) > LONGEST_NUMBER and node.tag.endswith((":int", ":float"))


def _check(node: yaml.Node | None, path: Path_, lines: dict[Path_, int], name: str) -> None:
    if isinstance(node, yaml.ScalarNode) and _is_endless(node):
        where = f"{name}:{node.start_mark.line + 1}"
        raise BadInput(f"{where} holds a number of {len(node.value):,} digits")
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            lines[(*path, index)] = child.start_mark.line + 1
            _check(child, (*path, index), lines, name)
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            _check(key, path, lines, name)
            here = (*path, str(key.value))
            if here in lines:
                problem = Problem(f"{name}:{key.start_mark.line + 1}", f"{key.value} again")
                raise BadInput(str(problem), why=f"it is set in line {lines[here]} already")
            lines[here] = key.start_mark.line + 1
            _check(child, here, lines, name)
