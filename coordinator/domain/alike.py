"""What two failures of the same cause have in common."""

import re

_PATH = re.compile(r"""(?<![\w/.])(?:[a-z][a-z0-9+]{1,9}:/|~|\.{1,2})?(?:/[^\s/'"<>:,;()]+)+/?""")
_HEX = re.compile(r"\b0x[0-9a-fA-F]+\b|\b[0-9a-f]{8}[0-9a-f-]*\b")
_SENTENCE = re.compile(r"(?:<item>, )?\bline \d+ \(«.{0,999}?»\): ")  # at which a model failed
# Exit codes and signals are what tells failures apart.
_NUMBER = re.compile(r"(?<!exit code )(?<!exit )(?<!signal )(?<![\w.])[+-]?\d+(?:[.,:]\d+)*")


def normalised(text: str, item: str) -> str:
    """`text` without what differs between two failures of the same cause."""
    text = _PATH.sub("<path>", _SENTENCE.sub("", _without_item(text, item)))
    text = _HEX.sub(_without_hex, text)
    return _NUMBER.sub("<n>", text)


def _without_item(text: str, item: str) -> str:
    """`text` with `<item>` in its place, where it stands by itself.

    Not by a pattern: one would have to be made for each item, which takes far longer than this.
    """
    at = text.find(item) if item else -1
    while at >= 0:
        end = at + len(item)
        if _is_word(text[at - 1 : at]) or _is_word(text[end : end + 1]):
            at = text.find(item, at + 1)
        else:
            text = f"{text[:at]}<item>{text[end:]}"
            at = text.find(item, at + len("<item>"))
    return text


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _without_hex(found: re.Match[str]) -> str:
    """Digits alone are a number, letters alone may be a word."""
    digits = set(found[0]) & set("0123456789")
    return "<hex>" if digits and set(found[0]) & set("abcdefx") else found[0]
