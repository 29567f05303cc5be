"""A batch that ends well with rubbish in it: its report says so."""

import csv
import json
from pathlib import Path

import pytest

from coordinator.cli import main
from tests.support import REPOSITORY

TEXTS = REPOSITORY / "inputs" / "demo" / "text"
COPIES = "100 % of the translations are copies of the source"


def item(source: str, target: str) -> str:
    files = {"source": source, "reference": target}
    assets = {name: {"href": str(TEXTS / f"{lang}.devtest")} for name, lang in files.items()}
    properties = {"mt:source_language": source, "mt:target_language": target}
    return json.dumps({"id": f"{source}-{target}", "assets": assets, "properties": properties})


def test_a_model_that_copies_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COORDINATOR_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "items.ndjson").write_text(f"{item('deu', 'eng')}\n{item('fra', 'spa')}\n")
    pipeline = str(REPOSITORY / "inputs/pipelines/translate-and-score.yml")
    model = str(REPOSITORY / "inputs/models/copy")
    words = ["--pipeline", pipeline, "--catalog", "items.ndjson", "--model", model]
    assert main(["submit", *words, "--batch_name", "copied"]) == 0
    assert main(["report", "copied"]) == 0
    printed = capfd.readouterr().out
    assert "2 succeeded" in printed
    assert "! suspicious translations in 2 items: see suspicious.csv" in printed
    assert f"deu-eng  {COPIES}" in printed
    with (tmp_path / "local-reports/copied/suspicious.csv").open(newline="") as stream:
        rows = {row["item"]: row for row in csv.DictReader(stream)}
    assert rows["fra-spa"]["copied"] == rows["fra-spa"]["sentences"] == "100"
    scores = json.loads((tmp_path / "outputs/copied/items/fra-spa/scores.json").read_bytes())
    assert scores["suspicious"]["flags"] == [COPIES]
