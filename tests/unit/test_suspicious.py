"""Signs of translations that are none: each is found, and good translations raise none."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.metrics import examine, read_scores
from coordinator.metrics.documents import ItemScores, MetricResult
from coordinator.metrics.scripts import SCRIPTS, count_scripts, main_scripts
from coordinator.metrics.suspicious import LOOP_LINE, loops

# Made up, 20 lines each: so that one line is 5 % of them.
NOUNS = [
    "river",
    "lake",
    "tower",
    "garden",
    "window",
    "teacher",
    "baker",
    "harbour",
    "candle",
    "wood",
]
FLUSS = ["Fluss", "See", "Turm", "Garten", "Fenster", "Lehrer", "Ofen", "Hafen", "Kerze", "Wald"]
SOURCES = [
    f"There is a {noun} of the {n}th kind behind our house" for n, noun in enumerate(NOUNS * 2)
]
REFERENCES = [
    f"Hinter dem Haus steht auch {word}, Nummer {n} davon" for n, word in enumerate(FLUSS * 2)
]
OTHERS = [f"Hinter unserem Haus steht {word} der Art {n}, wohl" for n, word in enumerate(FLUSS * 2)]


def scripts_of(*texts: str) -> list[str]:
    return [SCRIPTS[index] for index in main_scripts(count_scripts(texts)).tolist()]


def with_first(count: int, change: Callable[[int], str]) -> list[str]:
    """Good translations, but for the first `count` of the 20."""
    return [change(i) for i in range(count)] + OTHERS[count:]


def test_good_translations_raise_no_suspicion() -> None:
    found = examine(OTHERS, REFERENCES, SOURCES)
    assert found.flags == ()
    assert (found.empty, found.copied, found.repeated, found.loops) == (0, 0, 0, 0)
    assert (found.wrong_script, found.far_lengths, found.scripts) == (0, 0, None)
    assert found.length_ratio == pytest.approx(1.0, abs=0.1)
    assert found.sentences == 20


# name -> what a bad line is, and the sentence where 5 of 20 lines are bad
BAD: dict[str, tuple[Callable[[int], str], str]] = {
    "empty": (lambda i: ["", " ", "\u3000", "\t", ""][i], "25 % of the translations are empty"),
    "copied": (
        lambda i: SOURCES[i].upper() if i % 2 else "  " + SOURCES[i].replace(" ", "  "),
        "25 % of the translations are copies of the source",
    ),
    "nearly copied": (
        lambda i: SOURCES[i].replace("house", "Haus"),
        "25 % of the translations are copies of the source",
    ),
    "repeated": (
        lambda i: "Das weiß ich leider nicht, es tut mir leid",
        "25 % of the translations also stand in other lines, for something else",
    ),
    "loops": (
        lambda i: f"Hinter {i} steht " + "am Haus " * 9,
        "25 % of the translations repeat the same piece of text over and over",
    ),
    "script": (
        lambda i: f"За нашим домом стоит {i} и ещё одна башня",
        "25 % of the translations are in another script than the reference"
        " (Cyrillic instead of Latin)",
    ),
    "long": (
        lambda i: " ".join(OTHERS[i : i + 5]),
        "25 % of the translations are far longer or shorter than the reference",
    ),
    "short": (
        lambda i: f"Haus {i}",
        "25 % of the translations are far longer or shorter than the reference",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_each_sign_is_said_in_a_sentence(name: str) -> None:
    change, sentence = BAD[name]
    assert examine(with_first(5, change), REFERENCES, SOURCES).flags == (sentence,)


@pytest.mark.parametrize("name", sorted(BAD.keys() - {"empty", "loops", "repeated"}))
def test_what_is_rare_is_counted_but_not_said(name: str) -> None:
    """One line of 40 is less than any of these thresholds."""
    bad = examine([BAD[name][0](0), *OTHERS[1:], *OTHERS], REFERENCES * 2, SOURCES * 2)
    good = examine(OTHERS * 2, REFERENCES * 2, SOURCES * 2)
    assert bad.flags == ()
    assert bad != good


def test_the_worst_comes_first() -> None:
    found = examine(with_first(15, lambda i: "" if i < 4 else SOURCES[i]), REFERENCES, SOURCES)
    assert found.flags == (
        "55 % of the translations are copies of the source",
        "20 % of the translations are empty",
    )


def test_a_text_of_another_length() -> None:
    found = examine([line[-len(line) * 2 // 5 :] for line in OTHERS], REFERENCES)
    assert found.flags == ("the translations are 0.4 times as long as the reference",)


def test_what_the_reference_does_too_is_fine() -> None:
    odd = ["", "- - - - - - - - - - - - - - - -", "Radio Free Europe, Radio Liberty", "ВЕРА"]
    sources = ["(omitted)", odd[1], odd[2], odd[3]]
    found = examine(odd + OTHERS, odd + REFERENCES, sources + SOURCES)
    assert (found.empty, found.copied, found.loops, found.wrong_script) == (0, 0, 0, 0)


def test_the_same_text_for_the_same_source_is_fine() -> None:
    again = examine(OTHERS + OTHERS, REFERENCES + REFERENCES, SOURCES + SOURCES)
    assert again.repeated == 0
    assert examine(["Ja."] * 3, ["Ja."] * 3).repeated == 0
    assert examine(["Ja."] * 3, ["Ja.", "Nein.", "Ja."]).repeated == 3


def test_without_sources_or_references_what_can_be_told_is_told() -> None:
    lines = with_first(5, lambda i: "")
    alone = examine(lines)
    assert (alone.copied, alone.wrong_script, alone.length_ratio) == (None, None, None)
    assert alone.flags == ("25 % of the translations are empty",)
    by_source = examine(SOURCES, sources=SOURCES)
    assert by_source.flags == ("100 % of the translations are copies of the source",)
    assert by_source.lengths_against == "source"


def test_lengths_against_a_source_go_by_the_whole_text() -> None:
    """Chinese is a third as long as English: that alone makes no line an outlier."""
    short = [f"第{n}座塔在湖边的房子后面，那里还有一个花园和一口井" for n in range(20)]
    sources = [text * 2 for text in SOURCES]
    assert examine(short, sources=sources).far_lengths == 0
    cut = [*short[:-1], "这"]
    assert examine(cut, sources=sources).far_lengths == 1


# scripts


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Hello, 123!", "Latin"),
        ("naïve İzmir", "Latin"),
        ("здравствуйте OK", "Cyrillic"),
        ("नमस्ते १२३", "Devanagari"),
        ("湖のそばに塔がある", "Japanese"),
        ("東京国際空港は混雑", "Japanese"),
        ("湖边有一座塔", "Han"),
        ("호수 옆에 漢字 탑이 있다", "Hangul"),
        ("ⵜⴰⵎⴰⵣⵉⵖⵜ", "Tifinagh"),
        ("𞤆𞤵𞤤𞤢𞤪", "Adlam"),
        ("𐎠𐎡𐎢", "Other"),
        ("12.5 % – 🙂 ١٢٣", ""),
        ("", ""),
        ("\ud800", ""),
    ],
)
def test_script_of(text: str, script: str) -> None:
    assert scripts_of(text) == [script]


def test_every_script_is_known_to_the_library() -> None:
    import regex

    named = [name for name in SCRIPTS if name not in ("", "Japanese", "Other")]
    assert all(regex.compile(rf"\p{{Script={name}}}") for name in named)
    assert len(set(SCRIPTS)) == len(SCRIPTS) < 255


def test_chinese_is_no_japanese_and_japanese_no_chinese() -> None:
    japanese = [f"湖のそばに塔が{n}つあります" for n in range(20)]
    chinese = [f"湖边一共有{n}座很高的塔" for n in range(20)]
    assert examine(chinese, japanese).scripts == ("Han", "Japanese")
    assert examine(japanese, chinese).scripts == ("Japanese", "Han")
    titles = [*japanese[:10], *["東京国際空港"] * 10]
    assert examine(titles, japanese).wrong_script == 10
    assert examine(titles, titles).wrong_script == 0


@given(st.lists(st.text(max_size=80), min_size=1, max_size=12), st.data())
def test_any_text_can_be_examined(lines: list[str], data: st.DataObject) -> None:
    same_size = st.lists(st.text(max_size=40), min_size=len(lines), max_size=len(lines))
    references = data.draw(st.none() | same_size)
    sources = data.draw(st.none() | same_size)
    found = examine(lines, references, sources)
    counts = (found.empty, found.copied, found.repeated, found.loops)
    assert all(0 <= (count or 0) <= len(lines) for count in counts)
    assert (found.copied is None) == (sources is None)
    assert 0 <= (found.wrong_script or 0) <= len(lines)
    assert examine(lines, lines).flags == ()


# loops


@given(
    st.text("ab xyzß漢", min_size=1, max_size=12),
    st.integers(4, 40),
    st.text(max_size=30),
    st.text(max_size=30),
)
def test_a_loop_of_most_of_the_line_is_found(
    unit: str, times: int, before: str, after: str
) -> None:
    loop = unit * times
    room = len(loop) // 2
    before = before[: room // 2]
    line = before + loop + after[: room - len(before)]
    if len(line) >= LOOP_LINE and len(loop) * 3 >= len(line) * 2:
        assert loops(line)


@pytest.mark.parametrize(
    "line",
    ["", "a", "ha ha ha ha", "abc" * 5, "one two three four five six seven eight nine ten",
     "the cat and the dog and the bird and the fish", "x" * 30 + "y" * 30 + "z" * 30],
)  # fmt: skip
def test_no_loop(line: str) -> None:
    assert not loops(line)


def test_a_long_hostile_line_takes_no_time() -> None:
    assert not loops(("a" * 50 + "b") * 20_000 + "c" * 900_000)
    assert loops("ab" * 500_000)


# files


def test_files_of_older_versions_are_read() -> None:
    result = MetricResult(score=1.0, signature="s", statistics=(1,))
    scores = ItemScores(
        item="a", sentences=1, reference_sha256="r", hypotheses_sha256="h", metrics={"m": result}
    )
    old = scores.model_dump_json(exclude={"suspicious"}).encode()
    assert read_scores(old) == scores
    new = scores.model_copy(update={"suspicious": examine(["a"], ["b"], ["c"])})
    assert read_scores(new.to_bytes()) == new


@pytest.mark.needs_data
def test_human_translations_raise_no_suspicion(test_data: Callable[[str], Path]) -> None:
    """Of a hundred languages, from Spanish; but for other kinds of Spanish."""
    folder = test_data("ntrex101")
    texts = {path.stem: path.read_text("utf-8").split("\n")[:300] for path in folder.glob("*.txt")}
    assert len(texts) > 90
    source = texts["spa"]
    found = {name: examine(text, text, source).flags for name, text in texts.items()}
    assert {name: flags for name, flags in found.items() if flags} == {}
    unreferenced = {name: examine(text, None, source).flags for name, text in texts.items()}
    assert {name for name, flags in unreferenced.items() if flags} <= {"spa", "spa-MX"}
