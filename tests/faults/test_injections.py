"""Strings from outside stay text wherever they get to: none acts, and none is lost or changed."""

import csv
import io
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from rich.console import Console

from coordinator.catalog import open_source, read_item_list
from coordinator.cli.app import run
from coordinator.cli.output import Output
from coordinator.cluster.nomad.hcl import literal
from coordinator.domain.handoff import Handoff, HandoffItem
from coordinator.domain.items import WorkItem
from coordinator.domain.names import (
    JobName,
    batch_name_problem,
    file_name_problem,
    item_id_problem,
    step_name_problem,
    unit_of_item,
)
from coordinator.domain.paths import BatchKeys
from coordinator.domain.shown import for_csv, for_terminal
from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import FailureKind as K
from coordinator.domain.verdicts import Ending
from coordinator.errors import BadInput, CoordinatorError, Problem
from coordinator.ledger import Ledger
from coordinator.pipelines import read_pipeline
from coordinator.reports import local_reports
from coordinator.reports.render import render
from coordinator.storage import open_storage
from coordinator.workers.frame import run_worker
from tests import stac
from tests.fakes import HandClock
from tests.faults import strings
from tests.log_trees import LogBuilder
from tests.servers import web_server


def is_id(text: str) -> bool:
    return item_id_problem(text) is None


GOOD_IDS = tuple(filter(is_id, strings.ALL))
FORMULA = re.compile(r"[\s\u00a0]*[=+\-@＝＋－＠]")


def acting(screen: str) -> set[str]:
    return {character for character in screen if strings.acts(character)}


# the terminal


@pytest.mark.parametrize("place", ["what", "why", "hint", "problem"])
def test_an_error_shows_them_as_text(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    for text in strings.ALL:
        more = {"why": text if place == "why" else "w", "hint": text if place == "hint" else "h"}
        problems = [Problem(text, text, text, text)] if place == "problem" else []
        Output().error(BadInput(text if place == "what" else "x", problems=problems, **more))
        screen = capsys.readouterr().err
        assert acting(screen) == set(), text
        lines = 3 + len(problems) - (text == "" and place in ("why", "hint"))
        assert screen.count("\n") == lines, text


def test_a_result_shows_them_as_text_though_a_verb_forgets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output().result({}, *strings.ALL)
    screen = capsys.readouterr().out
    assert acting(screen) == set()
    assert for_terminal("\x1b]52;c;cm0gLXJm\x07") in screen


def test_what_is_shown_can_be_told_apart() -> None:
    shown = {for_terminal(text) for text in strings.ALL}
    assert len(shown) == len(strings.ALL)
    assert {for_terminal(text) for text in shown} == shown, "made safe twice is made safe once"


# the spreadsheet


def test_a_table_takes_them_for_no_formula_and_keeps_its_cells() -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerows([[for_csv(text), "next", 1] for text in strings.ALL])
    rows = list(csv.reader(io.StringIO(out.getvalue(), newline="")))
    assert [row[1:] for row in rows] == [["next", "1"]] * len(strings.ALL)
    for text, (cell, *_) in zip(strings.ALL, rows, strict=True):
        assert not FORMULA.match(cell), text
        assert not acting(cell), text
        assert cell.removeprefix("'") in (for_terminal(text), for_terminal(text).removeprefix("'"))


# the report


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a report over failures with these reasons, and what is printed of it."""
    folder = tmp_path_factory.mktemp("told")
    logs = LogBuilder(folder / "logs", steps=("say",))
    names = [f"i{n:03d}" for n in range(len(strings.WHOLE))]
    skipped = [{"id": text, "reason": text} for text in strings.WHOLE if text]
    logs.submit(*names, skipped=skipped)
    for name, text in zip(names, strings.WHOLE, strict=True):
        states = {name: (S.FAILED, K.MODEL_ERROR, text)}
        log = f"{text}\n{json.dumps({'event': text, 'level': 'error', 'error': text})}\n"
        logs.dispatch("say", name, states=states, ending=Ending(exit_code=1), stderr=log)
    summary = local_reports(logs.root, run_list=None, report_dir=folder / "report", batch=None)
    out = io.StringIO()
    Console(file=out, width=200, markup=False, emoji=False, soft_wrap=True).print(render(summary))
    return folder / "report", out.getvalue()


def test_the_printed_report_shows_them_as_text(told: tuple[Path, str]) -> None:
    assert acting(told[1]) == set()


def test_every_file_of_a_report_is_text_json_or_csv_and_no_page(told: tuple[Path, str]) -> None:
    """No HTML is written, so nothing can be active in a browser that guesses nothing."""
    names = {path.name for path in told[0].iterdir()}
    assert {name.rpartition(".")[2] for name in names} == {"txt", "json", "csv"}


def test_the_lists_of_a_report_have_a_line_an_item(told: tuple[Path, str]) -> None:
    run_list = (told[0] / "sorted-run-list.txt").read_text().split("\n")
    assert len(run_list) == len(set(run_list))
    assert acting("\n".join(run_list)) == set()
    failed = (told[0] / "unique_fail_item_names.txt").read_text().splitlines()
    assert failed == [f"i{n:03d}" for n in range(len(strings.WHOLE))]


def test_the_tables_of_a_report_hold_no_formula(told: tuple[Path, str]) -> None:
    rows = list(
        csv.reader(io.StringIO((told[0] / "summary.csv").read_bytes().decode(), newline=""))
    )
    assert len({len(row) for row in rows}) == 1
    assert not [cell for row in rows for cell in row if FORMULA.match(cell) or acting(cell)]


def test_the_messages_of_a_report_are_ascii(told: tuple[Path, str]) -> None:
    data = (told[0] / "messages.json").read_bytes()
    assert data.isascii() and len(json.loads(data)["model_error"]) == len(strings.WHOLE)
    assert acting(data.decode()) == set()


# lists, paths, names


def test_each_line_of_a_list_is_an_id_or_refused_with_its_line(tmp_path: Path) -> None:
    lines = [text for text in strings.WHOLE if "\n" not in text and len(text) < 4096]
    path = tmp_path / "list.txt"
    path.write_bytes(b"\n".join(text.encode() for text in ["first", *lines]))
    found = read_item_list(path)
    first, *others = found.ids
    assert first == "first"
    assert set(others) == {text.strip() for text in lines if is_id(text.strip())}
    numbers = {int(bad.problem.where.rpartition(":")[2]) for bad in found.bad}
    for number, text in enumerate(lines, start=2):
        stripped = text.strip()
        if not stripped or stripped.startswith("#"):
            continue
        assert number in numbers or is_id(stripped) or found.repeated, text
    assert all(str(bad.problem).isprintable() for bad in found.bad)


def test_an_id_is_refused_or_one_part_of_a_path(tmp_path: Path) -> None:
    store = open_storage(str(tmp_path / "root"))
    for text in GOOD_IDS:
        key = BatchKeys("b").attempt(text, "s", 1).outcome
        store.write(key, text.encode())
    assert sorted(store.list("")) == sorted(
        f"b/items/{text}/s/a1/outcome.json" for text in GOOD_IDS
    )
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
    for text in set(strings.ALL) - set(GOOD_IDS):
        problem = item_id_problem(text)
        assert problem and problem.isprintable() and len(problem) < 200


def test_no_key_of_the_store_leaves_it(tmp_path: Path) -> None:
    store = open_storage(str(tmp_path / "root"))
    for text in strings.ALL:
        for key in (text, f"a/{text}", f"{text}/b"):
            try:
                store.write(key, b"x")
            except (CoordinatorError, ValueError) as error:
                assert "root:" not in str(error)
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
    for path in (tmp_path / "root").rglob("*"):
        assert path.resolve().is_relative_to(tmp_path / "root")


def test_names_of_batches_steps_and_files_are_refused_or_plain() -> None:
    for text in strings.ALL:
        if not (batch_name_problem(text) and step_name_problem(text)):
            assert re.fullmatch(r"[A-Za-z0-9_.-]+", text) and text[0] not in "-."
        if file_name_problem(text) is None:
            assert "/" not in text and "\0" not in text and not text.startswith(".")


def test_a_job_name_says_what_it_was_made_of_or_is_not_ours() -> None:
    units = {unit_of_item("s", text) for text in GOOD_IDS}
    assert len(units) == len(GOOD_IDS)
    for unit in units:
        name = str(JobName("b", unit, 1))
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)
        assert JobName.parse(name) == JobName("b", unit, 1)
    ours = {text for text in strings.ALL if JobName.parse(text)}
    assert ours == {"a--b--a1v1"}


# the network, the ledger, job files, pipeline files


@pytest.mark.usefixtures("loopback_allowed")
def test_in_an_address_they_are_one_part_of_the_path() -> None:
    landing = {"links": [{"rel": "data", "href": "/collections"}]}
    names = [text for text in strings.WHOLE if text and len(text) < 4096]

    def answer(request: str, _: bytes) -> tuple[int, dict[str, str], bytes]:
        page = landing if request == "GET /" else {"features": [], "links": []}
        return 200, {}, json.dumps(page).encode()

    with web_server(answer) as server:
        for name in names:
            with pytest.raises(BadInput):  # of a collection without items
                list(open_source(None, server.url, [name]).items())
        asked = [request for request in server.requests if request != "GET /"]
    sent = [name for name in names if name not in (".", "..")]  # which are not asked for at all
    for name, request in zip(sent, asked, strict=True):
        path, _, query = request.removeprefix("GET ").partition("?")
        assert query == "limit=1000", name
        _, collections, part, items = path.split("/")
        assert (collections, items) == ("collections", "items")
        assert unquote(part, errors="strict") == name


def test_the_ledger_keeps_them_as_they_are(tmp_path: Path) -> None:
    made = [WorkItem(text, text, {text: text}, {text: text}) for text in strings.WHOLE]
    entries = [(item, item.id) for item in made]
    with closing(
        Ledger.create(tmp_path / "b", HandClock(), {"items": len(made)}, entries)
    ) as ledger:
        assert sorted(ledger.item_ids()) == sorted(strings.WHOLE)
        ready = ledger.ready(0, fresh=True, limit=1000)
        kept = {each.item.id: each.item for each in ready}
        assert kept == {item.id: item for item in made}
        for text in strings.WHOLE:
            ledger.note(text)
            assert [row["number"] for row in ledger.history(text)] == [1], text
        assert ledger.history("' OR '1'='1' --") == []
        path = ledger.path
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_job_file_takes_them_for_text_and_for_no_template() -> None:
    for text in strings.WHOLE:
        written = literal(text)
        assert not set(written[1:-1]) & set('"$%\n\r\0\x1b\u2028'), text
        assert json.loads(written) == text  # whose strings are written alike


def test_a_pipeline_file_takes_them_for_text_or_names_the_line(tmp_path: Path) -> None:
    for text in strings.WHOLE:
        if len(text) > 1000:
            continue
        document = {"name": text, "steps": [{"name": text, "job": text}]}
        path = tmp_path / "p.yml"
        path.write_text(yaml.safe_dump(document), "utf-8")
        with pytest.raises(BadInput) as caught:
            read_pipeline(path)
        said = [str(caught.value), *map(str, caught.value.problems)]
        assert any("p.yml" in line for line in said), text


# the job


def command(tmp_path: Path, name: str, argv: list[str]) -> dict[str, dict[str, object]]:
    """What became of running `argv` for each string as the property `text`: item -> outcome."""
    texts = dict(enumerate(strings.ALL))
    items = [
        HandoffItem(item=f"i{number}", attempt=1, properties={"text": text})
        for number, text in texts.items()
        if strings.is_whole(text)
    ]
    handoff = Handoff(
        batch=name,
        dispatch="d",
        step="s",
        job="command",
        output_root=str(tmp_path),
        options={"command": argv},
        items=tuple(items),
    )
    (tmp_path / "h.json").write_text(handoff.model_dump_json())
    run_worker(str(tmp_path), "h.json")
    found = {}
    for item in items:
        folder = tmp_path / name / "items" / item.item / "s" / "a1"
        found[str(item.properties["text"])] = json.loads((folder / "outcome.json").read_text())
        found[str(item.properties["text"])]["folder"] = folder
    return found


def test_a_program_gets_them_as_one_argument(tmp_path: Path) -> None:
    outcomes = command(tmp_path, "b", ["printf", "%s", "{property.text}"])
    for text, outcome in outcomes.items():
        if "\0" in text:
            assert outcome["failure"]["kind"] == "model_error"  # type: ignore[index]
            continue
        assert outcome["status"] == "succeeded", text
        assert (Path(str(outcome["folder"])) / "stdout.txt").read_bytes() == text.encode()
    assert not Path("/tmp/pwned").exists()


def test_a_file_of_such_a_name_is_kept_in_its_place_or_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    root = tmp_path / "root"
    root.mkdir()
    outcomes = command(root, "b", ["touch", "--", "./{property.text}"])
    for text, outcome in outcomes.items():
        kept = {str(file["name"]) for file in outcome.get("files", [])}  # type: ignore[attr-defined]
        assert kept <= {"stdout.txt", text}
        for name in kept:
            assert file_name_problem(name) is None
    assert list(outside.iterdir()) == []
    assert {path.name for path in root.iterdir()} == {"b", "h.json"}


# a whole batch


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a catalog of these strings, as ids where they can be and inside of items."""
    monkeypatch.chdir(tmp_path)
    ids = [*GOOD_IDS, *(f"i{number}" for number in range(len(strings.ALL) - len(GOOD_IDS)))]
    items = [
        stac.item(item_id, properties={"text": text}, assets={})
        for item_id, text in zip(ids, strings.ALL, strict=True)
    ]
    stac.write_ndjson(tmp_path / "items.ndjson", items)
    say = 'printf "%s\\n" "$1" >&2; case $1 in a*) printf %s "$1"; exit 9;; esac'
    options = {"command": ["sh", "-c", say, "say", "{property.text}"]}
    step = {"name": "say", "job": "command", "pack": {"size": 500}, "options": options}
    (tmp_path / "p.yml").write_text(yaml.safe_dump({"name": "p", "steps": [step]}))
    return tmp_path


PLACES = ("--state_dir", "state", "--log_dir", "logs")
SUBMIT = ("submit", "--batch_name", "b", "--pipeline", "p.yml", "--catalog", "items.ndjson")
VERBS = (
    ("status", "b"),
    ("status", "b", "--failed"),
    ("ls",),
    ("logs", "b", "i1"),
    ("logs", "b", "CON"),
    ("report", "b", "--report_dir", "report"),
    ("items", "count", "items.ndjson"),
    ("items", "show", "items.ndjson", "i2"),
)


def test_a_whole_batch_of_them(batch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run([*SUBMIT, "--output_root", "out", "--skip-bad", *PLACES])
    screens = [capsys.readouterr()]
    assert code == 1, screens
    for verb in VERBS:
        assert run([*verb, *PLACES]) in (0, 1)
        screens.append(capsys.readouterr())
    for screen in screens:
        said = screen.out + screen.err
        assert acting(re.sub(r"\x1b\[[0-9;]*m", "", said)) == set()
        assert "defect" not in said and "Traceback" not in said
    for line in (batch / "logs/b/coordinator.log").read_text().splitlines():
        json.loads(line)
    ended = json.loads((batch / "report/summary.json").read_text())["counts"]
    assert ended["run_list"] == len(strings.ALL)
    assert ended["not_run"] == len(strings.ALL) - len(strings.WHOLE), "half characters: left out"
    assert ended["failed"] == sum(text.startswith("a") or "\0" in text for text in strings.WHOLE)
    left = {path.name for path in batch.iterdir()}
    assert left <= {"items.ndjson", "p.yml", "state", "logs", "out", "report", "local-reports"}
