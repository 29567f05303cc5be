"""`show` puts the texts of a sentence and its score side by side, from any store."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sacrebleu

from coordinator.cli import main
from coordinator.clock import SystemClock
from coordinator.commands import redo
from coordinator.commands.record import BatchRecord, as_document
from coordinator.commands.redo import plan_rerun, plan_rescore
from coordinator.commands.sentences import Shown, Wanted, sentences
from coordinator.domain.handoff import FileRecord
from coordinator.domain.items import WorkItem
from coordinator.domain.paths import BatchKeys
from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import ItemState
from coordinator.errors import BadInput, BatchMissing
from coordinator.ledger import AttemptEnd, Finish, Ledger, NextStep
from coordinator.metrics import STATISTICS, load_metric, parse_metrics, statistics_bytes
from coordinator.pipelines import Pipeline
from coordinator.settings import Settings
from coordinator.storage import open_storage

CLOCK = SystemClock()
SOURCE = ["One dog sleeps.", "Two cats run away from it.", "Three birds sing all day long."]
REFERENCE = [
    "Ein Hund schläft.",
    "Zwei Katzen laufen davor weg.",
    "Drei Vögel singen den ganzen Tag.",
]
TRANSLATION = ["Ein Hund schläft.", "Two cats run away from it.", "Drei Vögel singen jeden Tag."]
PIPELINE = {
    "name": "p",
    "steps": [
        {
            "name": "translate",
            "job": "inference",
            "inputs": {"source": "asset/source"},
            "outputs": ["translations.jsonl"],
        },
        {
            "name": "score",
            "job": "scoring",
            "inputs": {
                "translations": "translate/translations.jsonl",
                "reference": "asset/reference",
                "source": "asset/source",
            },
            "outputs": ["scores.json"],
        },
    ],
}


class Place:
    """A batch of one item whose texts are given; its steps are done by hand."""

    def __init__(self, folder: Path, root: str, texts: dict[str, Sequence[str]]) -> None:
        self.settings = Settings(state_dir=folder / "state", log_dir=folder / "logs")
        self.root, self.texts = root, texts
        assets = {}
        for name in ("source", "reference"):
            path = folder / f"{name}.txt"
            path.write_text("".join(f"{line}\n" for line in texts[name]))
            assets[name] = str(path)
        record = BatchRecord(
            batch="b",
            pipeline=Pipeline.model_validate(PIPELINE),
            steps=("translate", "score"),
            source="here",
            output_root=root,
            log_dir=str(folder / "logs"),
            cluster="local",
            slots=1,
            stop_threshold=9,
            resume_threshold=1,
            wait_seconds=0,
            items=1,
            items_sha256="",
            created_at=0,
        )
        languages = {"mt:source_language": "eng", "mt:target_language": "deu"}
        item = WorkItem("eng-deu", assets=assets, properties=languages)
        self.ledger = Ledger.create(
            self.settings.state_dir / "b", CLOCK, as_document(record), [(item, "")]
        )

    def translate(self) -> None:
        lines = enumerate(self.texts["translation"], start=1)
        rows = (json.dumps({"line": n, "translation": text}) for n, text in lines)
        data = "".join(f"{row}\n" for row in rows).encode()
        self._leave("translations.jsonl", data, step=0)

    def score(self, *metrics: str) -> None:
        texts = [list(self.texts[name]) for name in ("translation", "reference")]
        loaded = [load_metric(spec) for spec in parse_metrics(list(metrics))]
        self.leave_counts({m.name: m.statistics(texts[0], m.prepare([texts[1]])) for m in loaded})

    def leave_counts(self, rows: dict[str, Any]) -> None:
        self._leave(STATISTICS, statistics_bytes("eng-deu", rows), step=1)

    def _leave(self, name: str, data: bytes, *, step: int) -> None:
        open_storage(self.root).write(BatchKeys("b").published("eng-deu", name), data)
        ready = self.ledger.ready(step, fresh=step == 0, limit=1)
        [dispatch] = self.ledger.claim([ready], lambda _, number: f"d{number}")
        self.ledger.move(dispatch, S.CLAIMED, S.SUBMITTED, "j")
        file = FileRecord(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        sequel = Finish(ItemState.SUCCEEDED) if step else NextStep()
        out = self.ledger.dispatch(dispatch.id)
        [attempt] = self.ledger.attempts_of(out)
        self.ledger.end(out, [AttemptEnd(attempt, S.SUCCEEDED, sequel, files=(file,))])

    def show(self, **wanted: Any) -> Shown:
        return sentences(self.settings, "b", "eng-deu", CLOCK, Wanted(**wanted))

    def printed(self, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
        assert main(["show", "b", "eng-deu", f"--state_dir={self.settings.state_dir}", *flags]) == 0
        return capsys.readouterr().out


def texts(**more: Sequence[str]) -> dict[str, Sequence[str]]:
    return {"source": SOURCE, "reference": REFERENCE, "translation": TRANSLATION, **more}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, str(tmp_path / "out"), texts())
    with closing(made.ledger):
        yield made


@pytest.mark.timeout(600)  # the first run builds the S3 server
@pytest.mark.parametrize("store", ["local", pytest.param("s3", marks=pytest.mark.needs_s3)])
def test_all_texts_of_a_sentence_stand_side_by_side(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bucket = request.getfixturevalue("s3_bucket") if store == "s3" else ""
    place = Place(tmp_path, f"s3://{bucket}/x" if bucket else str(tmp_path / "out"), texts())
    with closing(place.ledger):
        place.translate()
        place.score("bleu", "chrf++")
        found = place.show()
    assert [(s.number, s.source, s.reference, s.translation) for s in found.sentences] == [
        (n + 1, *line) for n, line in enumerate(zip(SOURCE, REFERENCE, TRANSLATION, strict=True))
    ]
    assert (found.languages, found.total, found.missing) == (("eng", "deu"), 3, ())
    chrf = sacrebleu.CHRF(word_order=2)
    expected = [
        chrf.sentence_score(hypothesis, [reference]).score
        for hypothesis, reference in zip(TRANSLATION, REFERENCE, strict=True)
    ]
    assert found.metric == "chrf++" and set(found.scores) == {"bleu", "chrf++"}
    assert [s.score for s in found.sentences] == pytest.approx(expected, abs=1e-9)


def test_what_is_suspicious_is_marked_in_its_sentence(place: Place) -> None:
    place.translate()
    found = place.show()
    assert [s.suspicious for s in found.sentences] == [(), ("a copy of the source",), ()]
    assert found.suspicious == 1


def test_of_an_error_rate_the_highest_come_first(place: Place) -> None:
    place.translate()
    edits = np.array([[0, 3], [5, 5], [2, 6]])  # and words of the reference
    place.leave_counts({"ter": edits})
    errors = place.show(lowest=True).sentences
    assert [s.number for s in errors] == [2, 3, 1]
    assert [s.score for s in errors] == pytest.approx([100.0, 100 / 3, 0.0])


def test_the_lowest_of_a_score_that_grows_come_first(place: Place) -> None:
    place.translate()
    place.score("chrf")
    assert [s.number for s in place.show(lowest=True, count=2).sentences] == [2, 3]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"number": 4}, "there are 3, from 1"),
        ({"metric": "chrff"}, "did you mean chrf"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    place: Place, wanted: dict[str, Any], said: str
) -> None:
    place.translate()
    place.score("chrf")
    with pytest.raises(BadInput) as caught:
        place.show(**wanted)
    assert said in caught.value.hint


def test_of_an_item_that_is_not_finished_it_is_said_what_is_missing(place: Place) -> None:
    found = place.show(number=2)
    [only] = found.sentences
    assert (only.source, only.translation, only.score) == (SOURCE[1], None, None)
    assert found.missing == (
        "no translations: step translate has not left translations.jsonl yet",
        "the item is waiting, not translated: coordinator why b eng-deu",
    )
    place.translate()
    assert place.show().missing == ("the item is in flight, not scored: coordinator why b eng-deu",)


def test_a_text_that_is_gone_is_told_and_the_rest_is_shown(place: Place, tmp_path: Path) -> None:
    place.translate()
    (tmp_path / "reference.txt").unlink()
    found = place.show()
    assert [s.reference for s in found.sentences] == [None] * 3
    assert [s.translation for s in found.sentences] == TRANSLATION
    assert any(why.startswith("no reference: ") for why in found.missing)


def test_where_the_outputs_were_moved_away_the_next_step_is_named(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.translate()
    place.score("chrf")
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    printed = place.printed(capsys)
    item = f"{tmp_path}/out/b/items/eng-deu"
    for what, step in (("translations", "translate"), ("scores", "score")):
        assert f"! no {what}: {item}/" in printed
        assert f"put it back, or: coordinator rerun b eng-deu --from {step}" in printed
    assert "Errno" not in printed and printed.count(str(tmp_path)) == 2
    for wanted in ({"lowest": True}, {"metric": "chrf"}):
        with pytest.raises(BadInput, match="the scores are not there") as caught:
            place.show(**wanted)
        assert "is no longer there" in caught.value.why
    with pytest.raises(BatchMissing, match="there are no outputs of b") as missing:
        plan_rescore(place.settings, redo.Wanted("b"), CLOCK)
    assert missing.value.hint.endswith("coordinator rerun b --from translate")
    whole = plan_rerun(place.settings, redo.Wanted("b", "translate"), CLOCK)
    assert len(whole.items) == 1, "it reads nothing that an earlier step left"


def test_what_is_not_scored_yet_is_not_called_lost(place: Place) -> None:
    place.translate()
    with pytest.raises(BadInput, match="no sentence has a score yet"):
        place.show(lowest=True)


HARD = {
    "hostile": "x\x1b]0;title\x07\u202eevil\x1b[2J",
    "right to left": "שלום עולם، مرحبا بالعالم",
    "combining": "ภาษาไทยที่เขียนติดกันยาวมากจนต้องตัดบรรทัดหลายครั้งกว่าจะจบประโยคนี้ได้",
    "wide": "这是一个非常长的句子里面没有任何空格所以必须在某个地方断开才能显示出来",
}


@pytest.mark.parametrize("kind", HARD)
def test_text_of_any_script_is_wrapped_whole_and_acts_on_no_terminal(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    line = HARD[kind]
    place = Place(tmp_path, str(tmp_path / "out"), texts(translation=[line, line, line]))
    with closing(place.ledger):
        place.translate()
    printed = place.printed(capsys, "-n", "1")
    assert not set("\x1b\x07\u202e") & set(printed)
    if kind != "hostile":
        shown = printed[printed.index("  translation") + len("  translation") :]
        assert "".join(shown.split()) == "".join(line.split())
        rows = [row.strip() for row in shown.splitlines()]
        assert all(not _combines(row[0]) for row in rows if row)
    assert (
        json.loads(place.printed(capsys, "--json"))["show"]["sentences"][0]["translation"] == line
    )


def _combines(character: str) -> bool:
    import unicodedata

    return unicodedata.category(character) == "Mn"
