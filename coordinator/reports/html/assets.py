"""The scripts inside the page, and the policy that lets these run and nothing else."""

import base64
import hashlib
import re
from contextlib import suppress
from functools import cache
from importlib import metadata, resources
from pathlib import Path

import platformdirs

from coordinator.errors import StorageError
from coordinator.storage import open_storage

_EXPORT = re.compile(r"\bexport\s*\{(?P<names>[^{}]*)\}\s*;?(?=\s*(?:/\*|$))")
_VEGA = "window.vegaEmbed="
_JQUERY = re.compile(r"([\w$]+) as jQuery\b")

# What is in the scripts, for the last section. Their notices stand in the scripts themselves.
LICENCES = (
    ("Vega, Vega-Lite, Vega-Embed", "Copyright University of Washington Interactive Data Lab and "
     "contributors", "BSD-3-Clause"),
    ("DataTables and its extensions", "Copyright SpryMedia Limited", "MIT"),
    ("jQuery", "Copyright OpenJS Foundation and other contributors", "MIT"),
    ("JSZip", "Copyright Stuart Knightley, David Duponchel, Franz Buchinger, António Afonso",
     "MIT (or GPL-3.0)"),
    ("ITables", "Copyright Marc Wouts", "MIT"),
)  # fmt: skip
# Module -> the package that it comes in.
LIBRARIES = {"vl_convert": "vl-convert-python", "itables": "itables", "jinja2": "jinja2"}


@cache
def charts_script() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that sets `vegaEmbed` on the window."""
    name = f"vega-{metadata.version('vl-convert-python')}.js"
    if (kept := _kept(name)) is not None:
        return kept
    import vl_convert  # it brings an engine along

    script = _closed(vl_convert.javascript_bundle(f"{_VEGA}vegaEmbed;"))
    _keep(name, script)
    return script


@cache
def table_script() -> str:
    """DataTables as one script that sets `jQuery` on the window.

    The bundle is a module: what it exports goes to the window here, since a module that is written
    into a page has no address to be imported from.

    Raises:
        ValueError: the bundle is not as it should be.
    """
    # The package itself would import pandas: twice the memory of all else.
    bundle = metadata.distribution("itables").locate_file("itables/html/dt_bundle.js")
    text = Path(str(bundle)).read_text("utf-8")
    export = _EXPORT.search(text)
    jquery = _JQUERY.search(export["names"]) if export else None
    if export is None or jquery is None:
        raise ValueError("the bundle of itables does not export jQuery")
    notices = text[export.end() :]
    return _closed(f"{text[: export.start()]};window.jQuery={jquery[1]};{notices}")


def own(name: str) -> str:
    """A file of ours."""
    return resources.files(__package__).joinpath("templates", name).read_text("utf-8")


def policy(scripts: tuple[str, ...]) -> str:
    """The content security policy of a page with exactly these inline scripts."""
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
    )


def versions() -> dict[str, str]:
    """Of the libraries that made the page."""
    return {name: metadata.version(name) for name in LIBRARIES.values()}


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _closed(script: str) -> str:
    r"""`script` so that it can stand in a page: HTML must not find an end of it, or a comment.

    Both only occur inside of texts and patterns of a script, where `\/` and `\x3c` are the same.
    """
    unix = script.replace("\r\n", "\n").replace("\r", "\n")  # as HTML reads it, or no hash fits
    return unix.replace("</script", r"<\/script").replace("<!--", r"\x3c!--")


# Making the bundle of charts takes seconds: it is kept where caches are.


def _cache() -> Path:
    return platformdirs.user_cache_path("coordinator") / "page"


def _kept(name: str) -> str | None:
    try:
        text = (_cache() / name).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return text if _VEGA in text[-400:] and text == _closed(text) else None


def _keep(name: str, script: str) -> None:
    with suppress(OSError, StorageError):  # it is made again, then
        folder = _cache()
        folder.mkdir(parents=True, exist_ok=True)
        open_storage(str(folder)).write(name, script.encode())
