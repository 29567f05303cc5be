"""Every import points down, and host and job never import each other (docs/architecture.md)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import coordinator
from tests.support import REPOSITORY

ROOT = Path(coordinator.__file__).parent
FLOORS = {
    "host": {
        "__main__": 6,
        "cli": 5,
        "commands": 4,
        "engine": 3,
        "catalog": 3,
        "reports": 3,
        "bootstrap": 3,
        "pipelines": 2,
        "ledger": 2,
        "cluster": 2,
    },
    "job": {"workers": 4, "inference": 3},
    "shared": {
        "scoring": 3,
        "storage": 2,
        "settings": 1,
        "domain": 1,
        "debugging": 1,
        "metrics": 1,
        "errors": 0,
        "secrecy": 0,
        "clock": 0,
        "files": 0,
        "lazily": 0,
        "parallel": 0,
    },
}
FLOOR = {room: floor for column in FLOORS.values() for room, floor in column.items()}
COLUMN = {room: name for name, column in FLOORS.items() for room in column}
CONCRETE = {
    "cluster.local",
    "cluster.nomad",
    "cluster.simulated",
    "storage.local",
    "storage.s3",
    "storage.simulated",
}


def imported(source: str) -> set[str]:
    """The project's modules that `source` imports, without the package's name in front."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they point"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    prefix = "coordinator."
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def complaints(room: str, source: str) -> list[str]:
    """What in `source`, a module of `room`, breaks the table."""
    found = []
    for name in sorted(imported(source)):
        target = name.split(".")[0]
        if target == room or target not in FLOOR:
            continue
        if FLOOR[target] >= FLOOR[room]:
            found.append(f"{room} imports {name}, which is not below it")
        if {COLUMN[room], COLUMN[target]} == {"host", "job"}:
            found.append(f"{room} imports {name} from the other side")
        if COLUMN[room] == "shared" and COLUMN[target] != "shared":
            found.append(f"{room} is shared, but imports {name}")
        if room != "bootstrap" and ".".join(name.split(".")[:2]) in CONCRETE:
            found.append(f"{room} imports {name}; only bootstrap names what is concrete")
    return found


def room_of(module: Path) -> str:
    return module.relative_to(ROOT).with_suffix("").parts[0]


MODULES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_keeps_the_table(module: Path) -> None:
    room = room_of(module)
    assert room in FLOOR, f"{room} has no place in the table yet"
    assert complaints(room, module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("room", "source", "complaint"),
    [
        ("ledger", "from coordinator.engine import tick", "not below"),
        ("engine", "def f():\n    from coordinator.catalog import items", "not below"),
        ("cli", "import coordinator.workers.frame", "other side"),
        ("storage", "from coordinator import ledger", "shared"),
        ("engine", "from coordinator.storage.s3 import S3Storage", "concrete"),
    ],
)
def test_table_is_read_right(room: str, source: str, complaint: str) -> None:
    assert any(complaint in said for said in complaints(room, source))


def test_imports_that_point_down_are_fine() -> None:
    source = "import json\nfrom coordinator.errors import BadInput\nimport coordinator.cluster"
    assert complaints("engine", source) == []


DOCUMENT = REPOSITORY / "docs/architecture.md"
PICTURE = REPOSITORY / "docs/architecture.svg"
OF_THE_FLOORS = {
    (room, column, floor) for column, of in FLOORS.items() for room, floor in of.items()
}


def in_table(text: str) -> Iterator[tuple[str, str, int]]:
    """Room, column and floor, as the table of the document has them."""
    for row in re.findall(r"^\| (\d) \|(.*)\|$", text, re.MULTILINE):
        for column, cell in zip(("host", "shared", "job"), row[1].split("|"), strict=True):
            yield from ((room, column, int(row[0])) for room in re.findall(r"`(\w+)`", cell))


def in_picture(text: str) -> Iterator[tuple[str, str, int]]:
    """The same, as the picture groups its rooms."""
    for column, floor, group in re.findall(r'<g id="(\w+)-(\d)">(.*?)</g>', text, re.DOTALL):
        for room in re.findall(r'class="name[^>]*>(\w+)<', group):
            yield room, column, int(floor)


def test_document_has_the_table() -> None:
    assert sorted(in_table(DOCUMENT.read_text())) == sorted(OF_THE_FLOORS)


def test_picture_shows_the_table() -> None:
    shown = sorted(in_picture(PICTURE.read_text()))
    assert shown == sorted(entry for entry in OF_THE_FLOORS if entry[0] != "__main__")


def test_document_names_modules_that_there_are() -> None:
    named = re.findall(r"`((?:\w+/)+[\w.-]+)`", DOCUMENT.read_text())
    assert len(named) > 20
    for name in named:
        places = (REPOSITORY / name, ROOT / name)
        assert any(place.exists() for place in places), name
