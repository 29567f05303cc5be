"""The demo's text: aligned, never trained on, and with one right translation a sentence."""

import importlib.util
import sys
from collections import defaultdict
from types import ModuleType

import pytest

from tests.support import REPOSITORY

DEMO = REPOSITORY / "inputs" / "demo"


@pytest.fixture(scope="module")
def make_text() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_text", DEMO / "make_text.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_text"] = module  # its dataclasses look it up
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_the_grammar_says(make_text: ModuleType) -> None:
    assert len(make_text.LANGUAGES) == 6
    for language in make_text.LANGUAGES:
        text = (DEMO / "text" / f"{language}.devtest").read_text(encoding="utf-8")
        said = [make_text.say(meaning, language) for meaning in make_text.held_out()]
        assert text.split("\n") == [*said, ""]
        assert len(set(said)) == make_text.HELD_OUT >= 60


def test_no_held_out_sentence_is_trained_on(make_text: ModuleType) -> None:
    held_out, trained = make_text.held_out(), make_text.training(5_000, 17)
    for language in make_text.LANGUAGES:
        seen = {make_text.say(meaning, language) for meaning in trained}
        assert not seen & {make_text.say(meaning, language) for meaning in held_out}


def test_every_sentence_has_one_meaning(make_text: ModuleType) -> None:
    meanings = make_text.training(10_000, 5) + make_text.held_out()
    for language in make_text.LANGUAGES:
        by_sentence = defaultdict(set)
        for meaning in meanings:
            by_sentence[make_text.say(meaning, language)].add(meaning)
        assert [text for text, found in by_sentence.items() if len(found) > 1] == []


def test_agreement_in_each_language(make_text: ModuleType) -> None:
    m = make_text
    old_tree = m.Phrase("tree", "a", "old")
    two = m.Phrase("student", "two", "famous")
    meanings = {
        "eng": (old_tree, "An old tree"),
        "fra": (old_tree, "Un vieil arbre"),
        "deu": (old_tree, "Ein alter Baum"),
        "ita": (m.Phrase("student", "the many", "famous"), "Gli studenti famosi"),
        "por": (m.Phrase("girl", "two", "young"), "Duas meninas jovens"),
        "spa": (two, "Dos estudiantes famosos"),
    }
    for language, (subject, opening) in meanings.items():
        said = m.say(m.Action(subject, "sleep", "present"), language)
        assert said.startswith(opening + " "), said


def test_objects_take_their_case_and_preposition(make_text: ModuleType) -> None:
    m = make_text
    sees = m.Action(m.Phrase("king"), "call", "past", m.Phrase("boy"), negated=True)
    assert m.say(sees, "deu") == "Der König hat den Jungen nicht gerufen."
    assert m.say(sees, "spa") == "El rey no llamó al niño."
    assert m.say(sees, "fra") == "Le roi n'a pas appelé le garçon."
    assert m.say(sees, "eng") == "The king did not call the boy."
    assert m.say(m.Whereabouts(m.Phrase("orange"), "present"), "ita") == "Dov'è l'arancia?"
