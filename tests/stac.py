"""Small STAC documents for tests."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def item(item_id: object, **changes: Any) -> dict[str, Any]:
    """A whole translation item; `changes` replace its members, None removes one."""
    document = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": item_id,
        "collection": "made-up",
        "geometry": None,
        "properties": {
            "datetime": "2024-01-01T00:00:00Z",
            "mt:source_language": "eng",
            "mt:target_language": "fra",
            "mt:split": "dev",
            "mt:sentences": 2,
        },
        "assets": {"source": {"href": "eng.txt"}, "reference": {"href": "fra.txt"}},
        "links": [],
    }
    document.update(changes)
    return {name: value for name, value in document.items() if value is not None}


def catalog(
    items: Sequence[str] = (), children: Sequence[str] = (), kind: str = "Catalog"
) -> dict[str, Any]:
    """A catalog with links to these hrefs."""
    links = [{"rel": "item", "href": href} for href in items]
    links += [{"rel": "child", "href": href} for href in children]
    return {"type": kind, "stac_version": "1.1.0", "id": "c", "description": "d", "links": links}


def write(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def write_ndjson(path: Path, documents: Sequence[object]) -> Path:
    path.write_text("".join(f"{json.dumps(d)}\n" for d in documents), encoding="utf-8")
    return path


def write_texts(folder: Path, lines: int = 2, languages: Sequence[str] = ("eng", "fra")) -> None:
    """`<lang>.txt` with this many lines for each language."""
    folder.mkdir(parents=True, exist_ok=True)
    for language in languages:
        text = "".join(f"sentence {n} in {language}\n" for n in range(lines))
        (folder / f"{language}.txt").write_text(text, encoding="utf-8")
