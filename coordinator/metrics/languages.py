"""What is known of languages: family, script, and how much text there is to learn from."""

import csv
import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coordinator.errors import BadInput, Problem

COLUMNS = ("code", "name", "family", "script", "resource")
UNKNOWN = "unknown"
_LARGEST = 1_000_000  # bytes
_LONGEST = 100  # characters of a cell
_SHIPPED = Path(__file__).with_name("languages.csv")


@dataclass(frozen=True)
class Language:
    """One language, or as a language's variety is written.

    Attributes:
        script: as ISO 15924 has it, e.g. `Latn`.
        resource: a level, e.g. `high`.
    """

    name: str
    family: str
    script: str
    resource: str


_NOTHING = Language(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)


class LanguageTable:
    """Languages by code, however exactly a code is written: `fra`, `fr`, `fra-CA`, `fra_Latn`."""

    def __init__(self, languages: Mapping[str, Language]) -> None:
        self._exact = languages
        self._plain: dict[str, Language] = {}
        for code, language in languages.items():
            self._plain.setdefault(_plain(code), language)

    def __contains__(self, code: str) -> bool:
        return code in self._exact

    def find(self, code: str) -> Language:
        """The language of this very code; else of its language alone, in the script it names.

        One that is not there is `unknown` in all respects.
        """
        if code in self._exact:
            return self._exact[code]
        found = self._plain.get(_plain(code), _NOTHING)
        script = _script(code) or found.script
        return Language(found.name, found.family, script, found.resource)

    @property
    def codes(self) -> list[str]:
        return sorted(self._exact)


def read_languages(path: Path = _SHIPPED) -> LanguageTable:
    """The table in a CSV file with the columns `code,name,family,script,resource`.

    Raises:
        BadInput: it cannot be read; every faulty line.
    """
    rows = list(csv.reader(io.StringIO(_text(path), newline=""), strict=False))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise _refused(path, [Problem(f"{path}:1", "not the header", f"write {','.join(COLUMNS)}")])
    problems, found = [], {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(COLUMNS) or not all(0 < len(cell) <= _LONGEST for cell in row):
            problems.append(Problem(f"{path}:{number}", f"not {len(COLUMNS)} cells with text"))
        elif row[0] in found:
            problems.append(Problem(f"{path}:{number}", "again", field=row[0]))
        else:
            found[row[0]] = Language(*row[1:])
    if problems:
        raise _refused(path, problems)
    return LanguageTable(found)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise BadInput(f"{path} is larger than {_LARGEST:,} bytes")
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"the table of languages {path} cannot be read", why=why) from error


def _refused(path: Path, problems: list[Problem]) -> BadInput:
    hint = "docs/scoring.md describes it"
    return BadInput(f"the table of languages {path} cannot be used", hint=hint, problems=problems)


@functools.cache
def _plain(code: str) -> str:
    """The language alone: Standard Arabic is Arabic, and `fra-CA` is `fr`."""
    import langcodes  # most verbs ask for no language

    try:
        tag = langcodes.standardize_tag(code.replace("_", "-"), macro=True)
        return langcodes.Language.get(tag).language or code
    except (ValueError, LookupError):  # no language tag at all
        return code


def _script(code: str) -> str:
    parts = code.replace("_", "-").split("-")[1:]
    return next((p.title() for p in parts if len(p) == 4 and p.isascii() and p.isalpha()), "")
