"""The page as text: templates filled in, scripts inside, and the policy computed last."""

import base64
import gzip
import json
import re
import shlex
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from coordinator.domain.shown import for_terminal
from coordinator.reports.html.assets import LIBRARIES as _LIBRARIES
from coordinator.reports.html.inputs import Inputs

_UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def missing_library() -> str:
    """The first library that the page needs and is not here; "" = all are."""
    return next((name for module, name in _LIBRARIES.items() if find_spec(module) is None), "")


def page_html(inputs: Inputs) -> bytearray:
    """The whole page, as UTF-8. Takes the libraries of the extra `report`."""
    import jinja2

    from coordinator.reports.html import assets
    from coordinator.reports.html.view import view_of

    view = view_of(inputs)
    scripts = (assets.charts_script(), assets.table_script(), assets.own("page.js"))
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.PackageLoader(__package__),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = for_terminal
    environment.filters["number"] = _number
    environment.filters["spans"] = _spans
    environment.filters["duration"] = _duration
    parts = environment.get_template("page.html.jinja").generate(
        view=view,
        policy=assets.policy(scripts),
        scripts=scripts,
        style=assets.own("style.css"),
        licences=assets.own("licences.txt"),
        payload=packed({"data": view.data, "specs": view.specs}),
    )
    page = bytearray()  # as text it would take several times its size
    for part in parts:
        page += part.encode("utf-8", "backslashreplace")  # names of files may be no text
    return page


def packed(document: Mapping[str, Any]) -> str:
    """JSON as gzip in base64: nothing of it can be taken for markup."""
    data = script_json(document).encode()
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def script_json(document: Any) -> str:
    """JSON in which nothing ends a script, opens a comment or is a line end to JavaScript."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_UNSAFE)


def _spans(text: str, batch: str, item: str) -> list[tuple[bool, str]]:
    """Pieces of a text with backticks, and whether each stands between two; names filled in."""
    names = {"BATCH": batch, "ITEM": item}
    filled = re.sub("BATCH|ITEM", lambda found: shlex.quote(names[found[0]]), text)
    return [(bool(number % 2), piece) for number, piece in enumerate(filled.split("`")) if piece]


_NOT_KNOWN = "\N{EN DASH}"


def _number(value: float | None, digits: int = 0) -> str:
    return _NOT_KNOWN if value is None else f"{value:,.{digits}f}"


def _duration(seconds: float | None) -> str:
    """`2 h 05 min`, `3 min 20 s`, `12.5 s`."""
    if seconds is None:
        return _NOT_KNOWN
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60:,} h {minutes % 60:02} min"
