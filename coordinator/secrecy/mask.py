"""Known secrets, replaced in what others wrote: in text, and in streams of any length.

A secret is looked for as it is and as URLs, JSON, HTML and base64 would have it. Where two overlap,
the one that begins first counts, and of those the longest; so a stream gives the same in whichever
pieces it comes. What is masked keeps its length in bytes: places in a log stay what they are.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MARK = "***"  # where the length does not matter
SHORTEST = 6  # characters: anything shorter would be found in ordinary words
FRAGMENT = 4  # bytes of a secret at the torn end of a stream that are not shown either

_ESCAPE = re.compile("%[0-9A-F]{2}")
# By how many bytes stand before it, base64 writes the same bytes in three ways. The characters at
# its start that also hold bits of what stands before are left out.
_SHARED = (0, 2, 3)


class Mask:
    """Replaces some secrets. It is not changed any more, and safe for many threads."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms)))
        self.longest = len(self._forms[0]) if self._forms else 0  # bytes

    def __repr__(self) -> str:
        return f"Mask({len(self._forms)} forms)"

    def data(self, data: bytes) -> bytes:
        return self._pattern.sub(_starred, data) if self._is_in(data) else data

    def text(self, text: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        if not self._is_in(data):
            return text
        return self.data(data).decode("utf-8", "surrogatepass")

    def pieces(self, pieces: Iterable[bytes], *, torn: bool = False) -> Iterator[bytes]:
        """A stream, masked; some of the pieces may be empty. `torn`: as `MaskedStream` has it."""
        stream = MaskedStream(self, torn=torn)
        for piece in pieces:
            yield stream.feed(piece)
        yield stream.close()

    def _is_in(self, data: bytes) -> bool:
        """Quicker than the pattern, and mostly the answer is no."""
        return any(form in data for form in self._forms)

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """What of `data` can be masked now, masked; and the rest, which more data may decide."""
        cut, at, done = self._undecided(data), 0, []
        for found in self._pattern.finditer(data) if self._is_in(data) else ():
            if found.start() >= cut:
                break
            done += [data[at : found.start()], _starred(found)]
            at = found.end()
        end = max(cut, at)
        return b"".join((*done, data[at:end])), data[end:]

    def without_head(self, data: bytes) -> bytes:
        """`data` without the end of a secret whose beginning is not there."""
        ends = (_ending(data, form) for form in self._forms)
        cut = max(ends, default=0)
        return b"*" * cut + data[cut:] if cut >= FRAGMENT else data

    def without_tail(self, data: bytes) -> bytes:
        """`data` without the beginning of a secret whose end is not there."""
        cut = self._undecided(data)
        left = len(data) - cut
        return data[:cut] + b"*" * left if left >= FRAGMENT else data

    def _undecided(self, data: bytes) -> int:
        """From where on `data` may be the beginning of a secret that goes on."""
        return min((_beginning(data, form) for form in self._forms), default=len(data))


NO_MASK = Mask()


class MaskedStream:
    """A stream that comes in pieces. What may be half a secret is held back until it is decided.

    Never held back are more bytes than the longest form of a secret has.
    """

    def __init__(self, mask: Mask, *, torn: bool = False) -> None:
        """`torn`: it may begin amid a secret; then its first bytes are held back too."""
        self._mask, self._torn, self._rest = mask, torn, b""

    def feed(self, data: bytes) -> bytes:
        """What can be shown by now."""
        data = self._rest + data
        if self._torn and len(data) < self._mask.longest:
            self._rest = data
            return b""
        shown, self._rest = self._mask.split(self._mended(data))
        return shown

    def close(self) -> bytes:
        """What is left. A stream may end amid a secret: what is there of it is masked as well."""
        rest, self._rest = self._mended(self._rest), b""
        return self._mask.without_tail(self._mask.data(rest))

    def _mended(self, data: bytes) -> bytes:
        torn, self._torn = self._torn, False
        return self._mask.without_head(data) if torn else data


def _starred(found: "re.Match[bytes]") -> bytes:
    return b"*" * len(found[0])


def _beginning(data: bytes, form: bytes) -> int:
    """The first place from which on all that is left of `data` begins, but does not end, `form`."""
    at = max(0, len(data) - len(form) + 1)
    while (at := data.find(form[:1], at)) >= 0:
        if form.startswith(data[at:]):
            return at
        at += 1
    return len(data)


def _ending(data: bytes, form: bytes) -> int:
    """How many bytes at the start of `data` are the end, and not all, of `form`."""
    for size in range(min(len(form) - 1, len(data)), FRAGMENT - 1, -1):
        if form.endswith(data[:size]):
            return size
    return 0


def _forms(secret: str) -> Iterator[bytes]:
    """How the secret may be written; of several lines, also each line alone."""
    for text in {secret, *(line.strip() for line in secret.splitlines())}:
        if len(text) >= SHORTEST:
            yield from (_bytes(form) for form in _as_text(text))
            yield from (form.encode() for form in _as_base64(_bytes(text)))


def _as_text(text: str) -> set[str]:
    quoted = {quote(text), quote(text, safe=""), quote_plus(text)}
    quoted |= {_ESCAPE.sub(lambda found: found[0].lower(), form) for form in quoted}
    escaped = {text, *_escaped(text), html.escape(text), repr(text)[1:-1], ascii(text)[1:-1]}
    escaped |= {twice for once in _escaped(text) for twice in _escaped(once)}
    return quoted | escaped | {form.replace("/", r"\/") for form in escaped}


def _escaped(text: str) -> set[str]:
    """As JSON has it; a log line in JSON may hold text that was JSON before."""
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


def _as_base64(data: bytes) -> Iterator[str]:
    for before, shared in enumerate(_SHARED):
        whole = (before + len(data)) * 8 // 6  # characters that hold bits of nothing else
        form = base64.b64encode(bytes(before) + data).decode()[shared:whole]
        yield from {form, form.translate({43: "-", 47: "_"}), quote(form, safe="")}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
