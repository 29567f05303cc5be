"""Text from outside, made safe to show. The only place that does it: one function per surface."""

import unicodedata

# What does not show what it is: control characters, invisible format characters (bidi controls
# among them), line and paragraph separators, lone surrogates, private use and unassigned ones.
_HIDDEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"})
_JOINERS = "\u200c\u200d"  # parts of ordinary words in Persian, Hindi and others
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_FORMULA_STARTS = frozenset("=+-@＝＋－＠")  # noqa: RUF001 - some spreadsheets take the wide ones too


def for_terminal(text: str) -> str:
    r"""`text` on one line, with all that a terminal would act on written out, e.g. as `\x1b`.

    It is not markup: give it to rich as a `Text`, not as a string.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(c) if _is_hidden(c) else c for c in text)


def for_csv(text: str) -> str:
    """`text` as a cell on one line that no spreadsheet takes for a formula.

    An apostrophe in front marks such a cell as text. Tabs and line ends, which some spreadsheets
    skip over, are written out. Quoting is left to the `csv` module.
    """
    shown = for_terminal(text)
    start = text.lstrip()[:1]
    return f"'{shown}" if start in _FORMULA_STARTS else shown


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN and character not in _JOINERS


def _visible(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
