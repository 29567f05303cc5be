"""The little of HCL that is needed to fill the variables of a job file; Nomad parses the rest."""

import re
from collections.abc import Iterator, Mapping, Sequence

Value = str | bool | int | float | Sequence["Value"] | Mapping[str, "Value"]

# What is no plain character of a quoted string. `$` and `%` begin templates: nothing here is one.
_NOT_PLAIN = re.compile(r'[^ -~\u00a0-\U0010ffff]|["\\$%]|[\u2028\u2029]')
_DECLARED = re.compile(r'^[ \t]*variable[ \t]+"?([\w-]+)"?[ \t]*\{', re.MULTILINE)
_TOKEN = re.compile(
    r"""
      (?: \#[^\n]* | //[^\n]* | /\*.*?\*/ | "(?:\\.|[^"\\\n])*"
        | <<-?(?P<mark>\w+)[^\n]*\n.*?^[ \t]*(?P=mark)[ \t]*$ )
    | (?P<open>[\[{(]) | (?P<close>[\]})])
    | (?P<name>[A-Za-z_][\w-]*)(?=\s*=(?!=))
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


def literal(value: Value) -> str:
    """`value` as HCL that means just that, whatever characters are in it."""
    if isinstance(value, str):
        return f'"{_NOT_PLAIN.sub(_escaped, value)}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        pairs = (f"{literal(key)} = {literal(each)}" for key, each in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return f"[{', '.join(map(literal, value))}]"


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def assignments(values: Mapping[str, Value]) -> str:
    """`name = value` lines."""
    return "".join(f"{name} = {literal(value)}\n" for name, value in values.items())


def assigned_names(text: str) -> Iterator[tuple[str, int]]:
    """The names that a file of `name = value` lines sets, each with its line."""
    depth = 0
    for found in _TOKEN.finditer(text):
        depth += bool(found["open"]) - bool(found["close"])
        if found["name"] and depth == 0:
            yield found["name"], text.count("\n", 0, found.start()) + 1


def declared_names(job_file: str) -> set[str]:
    """The variables that a job file declares."""
    return set(_DECLARED.findall(job_file))
