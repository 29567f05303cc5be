"""What two failures of the same cause have in common."""

import re

_PATH = re.compile(r"""(?<![\w/.])(?:[a-z][a-z0-9+]{1,9}:/|~|\.{1,2})?(?:/[^\s/'"<>:,;()]+)+/?""")
_HEX = re.compile(r"\b0x[0-9a-fA-F]+\b|\b[0-9a-f]{8}[0-9a-f-]*\b")
_SENTENCE = re.compile(r"(?:<item>, )?\bline \d+ \(«.{0,999}?»\): ")  # at which a model failed
# Exit codes and signals are what tells failures apart.
_NUMBER = re.compile(r"(?<!exit code )(?<!exit )(?<!signal )(?<![\w.])[+-]?\d+(?:[.,:]\d+)*")


def normalised(text: str, item: str) -> str:
    """`text` without what differs between two failures of the same cause."""
    text = re.sub(rf"(?<!\w){re.escape(item)}(?!\w)", "<item>", text)
    text = _PATH.sub("<path>", _SENTENCE.sub("", text))
    text = _HEX.sub(_without_hex, text)
    return _NUMBER.sub("<n>", text)


def _without_hex(found: re.Match[str]) -> str:
    """Digits alone are a number, letters alone may be a word."""
    digits = set(found[0]) & set("0123456789")
    return "<hex>" if digits and set(found[0]) & set("abcdefx") else found[0]
