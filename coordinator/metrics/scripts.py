"""Which scripts texts are written in, letter by letter (Unicode Standard Annex 24).

Only letters count: digits, punctuation, marks and whatever many scripts share are left out. All
kana count as Japanese; Japanese text is mostly kana and Han mixed, see `main_scripts`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

# In use today: the recommended and limited-use scripts of UAX 31. Any other letter is `Other`.
SCRIPTS = (
    "", "Latin", "Cyrillic", "Arabic", "Devanagari", "Han", "Japanese", "Hangul", "Bengali",
    "Greek", "Hebrew", "Thai", "Tamil", "Telugu", "Gujarati", "Gurmukhi", "Kannada", "Malayalam",
    "Oriya", "Sinhala", "Ethiopic", "Georgian", "Armenian", "Myanmar", "Khmer", "Lao", "Tibetan",
    "Thaana", "Adlam", "Balinese", "Bamum", "Batak", "Canadian_Aboriginal", "Chakma", "Cham",
    "Cherokee", "Hanifi_Rohingya", "Javanese", "Kayah_Li", "Lepcha", "Limbu", "Lisu", "Mandaic",
    "Meetei_Mayek", "Miao", "Mongolian", "New_Tai_Lue", "Newa", "Nko", "Nyiakeng_Puachue_Hmong",
    "Ol_Chiki", "Osage", "Saurashtra", "Sundanese", "Syloti_Nagri", "Syriac", "Tai_Le",
    "Tai_Tham", "Tai_Viet", "Tifinagh", "Vai", "Wancho", "Yi", "Other",
)  # fmt: skip
_HAN, _JAPANESE = SCRIPTS.index("Han"), SCRIPTS.index("Japanese")
_MIXED = {"Han": r"[\p{Han}\p{Bopomofo}]", "Japanese": r"[\p{Hiragana}\p{Katakana}]", "Other": "."}

LOOKED_AT = 16  # characters of a text, at most, and at least half as many: enough to tell
KANA_SHARE = 0.1  # of kana among kana and Han: from there on the text is Japanese

_UNKNOWN = 255
_table = np.full(0x110000, _UNKNOWN, np.uint8)  # code point -> script; filled as they occur


def count_scripts(texts: Sequence[str]) -> NDArray[np.int64]:
    """Letters of each script (texts, scripts); column 0 counts what is of none.

    Of a long text, evenly spaced characters are looked at.
    """
    texts = [text[:: len(text) // LOOKED_AT + 1] for text in texts]
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), "<u4")
    rows = np.repeat(np.arange(0, len(texts) * len(SCRIPTS), len(SCRIPTS)), [*map(len, texts)])
    bins = np.bincount(rows + _scripts_of(codes), minlength=len(texts) * len(SCRIPTS))
    return bins.reshape(len(texts), len(SCRIPTS))


def main_scripts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The script of most letters of each text (texts,), as an index of SCRIPTS; 0 = no letters.

    Han is Japanese where enough kana stand beside it.
    """
    letters = counts.copy()
    letters[:, 0] = 0
    han, kana = letters[:, _HAN].copy(), letters[:, _JAPANESE].copy()
    japanese = (kana > 0) & (kana >= KANA_SHARE * (han + kana))
    letters[:, _JAPANESE] += np.where(japanese, han, 0)
    letters[:, _HAN] -= np.where(japanese, han, 0)
    main: NDArray[np.int64] = letters.argmax(axis=1)
    return main


def _scripts_of(codes: NDArray[Any]) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = _table[codes]
    if (found == _UNKNOWN).any():
        for code in np.unique(codes[found == _UNKNOWN]).tolist():
            _table[code] = _script_of(chr(code))
        found = _table[codes]
    return found


def _script_of(character: str) -> int:
    match = _pattern().match(character)
    return match.lastindex if match else 0


@cache
def _pattern() -> Any:
    """One group for each script, in their order; `regex` knows Unicode's properties."""
    import regex

    letter = r"(?=[\p{L}--[\p{Common}\p{Inherited}]])"
    groups = (_MIXED.get(name, rf"\p{{{name}}}") for name in SCRIPTS[1:])
    either = "|".join(f"({group})" for group in groups)
    return regex.compile(f"{letter}(?:{either})", regex.V1)  # type: ignore[no-untyped-call]
