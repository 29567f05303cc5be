"""From an item's language code to the model's: "eng" may be "en" or "eng_Latn" there."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import langcodes

from coordinator.errors import BadInput

_SHOWN = 5  # codes in a message
_SAME_LANGUAGE = 1  # at most this far by CLDR's measure; Norwegian Bokmål and Norwegian are


@dataclass(frozen=True)
class LanguageTable:
    """The languages of one model.

    Attributes:
        codes: what the tokenizer calls them.
        aliases: the model folder's own table, the item's code -> the tokenizer's.
    """

    codes: Sequence[str]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def find(self, language: str) -> str:
        """The tokenizer's code: by the same name, by the folder's table, or by ISO 639.

        A region or script that the model does not have apart is passed over; another language
        never stands in for the one that was asked for.

        Raises:
            BadInput: the model does not know the language.
        """
        if language in self.codes:
            return language
        found = self.aliases.get(language) or self._closest(language)
        if found is None or found not in self.codes:
            raise self._unknown(language)
        return found

    def _closest(self, language: str) -> str | None:
        try:
            wanted = langcodes.Language.get(language)
            distances = {code: _distance(wanted, code) for code in self.codes}
        except (ValueError, LookupError):  # no language tag at all
            return None
        known = {code: far for code, far in distances.items() if far is not None}
        return min(known, key=lambda code: (known[code], code), default=None)

    def _unknown(self, language: str) -> BadInput:
        near = difflib.get_close_matches(language, self.codes, n=_SHOWN, cutoff=0.4)
        shown = ", ".join(near or sorted(self.codes)[:_SHOWN])
        return BadInput(
            f"the model does not know the language {language!r}",
            why=f"nearest of the {len(self.codes)} it knows: {shown}",
            hint='correct the item, or add the code to the model\'s languages.json: {"eng": "en"}',
        )


def _distance(wanted: langcodes.Language, code: str) -> int | None:
    """How far apart two codes of the same language are; None where the languages differ."""
    try:
        offered = langcodes.Language.get(code)
    except (ValueError, LookupError):
        return None
    distance: int = langcodes.tag_distance(wanted, offered)
    same = distance <= _SAME_LANGUAGE or _macrolanguage(wanted) == _macrolanguage(offered)
    return distance if same else None


def _macrolanguage(language: langcodes.Language) -> str | None:
    """The language with its dominant variety as one: Standard Arabic is Arabic."""
    tag = langcodes.standardize_tag(language.to_tag(), macro=True)
    return langcodes.Language.get(tag).language
