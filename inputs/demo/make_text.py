"""Write the demo's parallel text: short sentences in six languages from a small grammar.

A sentence starts as a meaning (who does what, when, where), drawn at random with a fixed seed, and
is put into words in each language. Everything that any of the languages must express (number,
definiteness, tense, gender of the noun) is visible in all of them, so a translation is a function
of its source and a model can be right about a sentence that it has not seen.

    python make_text.py            writes text/<language>.devtest, the held-out sentences
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
WORDS: dict[str, Any] = yaml.safe_load((HERE / "lexicon.yml").read_text(encoding="utf-8"))
LANGUAGES = ("deu", "eng", "fra", "ita", "por", "spa")
HELD_OUT = 100
HELD_OUT_SEED = 2024


# --- meanings -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phrase:
    """A noun with its count ("a", "the", "the many" or a number), or one of the family."""

    noun: str
    count: str = "the"
    adjective: str | None = None

    @property
    def family(self) -> bool:
        return self.noun in WORDS["family"]

    @property
    def plural(self) -> bool:
        return self.count not in ("a", "the")

    @property
    def definite(self) -> bool:
        return self.count in ("the", "the many")

    @property
    def tags(self) -> set[str]:
        return {"person"} if self.family else set(WORDS["nouns"][self.noun]["tags"])


@dataclass(frozen=True)
class Action:
    subject: Phrase
    verb: str
    tense: str
    object: Phrase | None = None
    negated: bool = False
    time: str | None = None
    place: str | None = None


@dataclass(frozen=True)
class State:
    subject: Phrase
    adjective: str
    tense: str
    very: bool = False


@dataclass(frozen=True)
class Existence:
    subject: Phrase
    place: str
    tense: str


@dataclass(frozen=True)
class Whereabouts:
    subject: Phrase
    tense: str


@dataclass(frozen=True)
class Pair:
    first: Action
    second: Action
    contrast: bool


Meaning = Action | State | Existence | Whereabouts | Pair


# --- words to sentences -------------------------------------------------------------------------


class Grammar:
    """What the languages share: subject, verb, object. Each language fills in the rest."""

    code = ""
    conjunctions = ("", "")  # and, but
    very = ""
    after_time = ""  # what follows a time that opens a sentence
    question = ("", "?")
    to_be: tuple[str, ...] = ()  # present singular, present plural, past singular, past plural
    to_be_now: tuple[str, ...] = ()  # the same for passing states and whereabouts
    there_is: tuple[str, ...] = ()
    where: tuple[str, ...] = ()

    def sentence(self, meaning: Meaning) -> str:
        text, end = self._words(meaning), "."
        if isinstance(meaning, Whereabouts):
            start, end = self.question
            return start + _capital(self.polish(text)) + end
        return _capital(self.polish(text)) + end

    def _words(self, meaning: Meaning) -> str:
        match meaning:
            case Action():
                return self.action(meaning)
            case State():
                return self.state(meaning)
            case Existence():
                return self.existence(meaning)
            case Whereabouts():
                where = _by_number(self.where, meaning.subject, meaning.tense)
                return f"{where} {self.phrase(meaning.subject)}"
            case Pair():
                word = self.conjunctions[meaning.contrast]
                comma = "," if meaning.contrast else ""
                return f"{self.action(meaning.first)}{comma} {word} {self.action(meaning.second)}"

    def action(self, action: Action) -> str:
        time = self.time(action) + self.after_time if action.time else ""
        verb = self.verb(action.verb, action.tense, action.subject.plural, action.negated)
        thing = self.object(action.object) if action.object else ""
        return _join(time, self.phrase(action.subject), verb, thing, self.place(action.place))

    def state(self, state: State) -> str:
        passing = WORDS["adjectives"][state.adjective].get("state") and self.to_be_now
        be = _by_number(passing or self.to_be, state.subject, state.tense)
        very = self.very if state.very else ""
        adjective = self.predicate(state.adjective, state.subject)
        return _join(self.phrase(state.subject), be, very, adjective)

    def existence(self, meaning: Existence) -> str:
        there_is = _by_number(self.there_is, meaning.subject, meaning.tense)
        return _join(there_is, self.phrase(meaning.subject), self.place(meaning.place))

    def time(self, action: Action) -> str:
        return WORDS["times"][action.tense][action.time][self.code]

    def place(self, place: str | None) -> str:
        return WORDS["places"][place][self.code] if place else ""

    def number(self, count: str, gender: str) -> str:
        forms = WORDS["numbers"][count][self.code].split()
        return forms[-1] if gender == "f" else forms[0]

    def object(self, phrase: Phrase) -> str:
        return self.phrase(phrase)

    def polish(self, text: str) -> str:
        return text

    def phrase(self, phrase: Phrase) -> str:
        raise NotImplementedError

    def predicate(self, adjective: str, subject: Phrase) -> str:
        raise NotImplementedError

    def verb(self, verb: str, tense: str, plural: bool, negated: bool) -> str:
        raise NotImplementedError


class English(Grammar):
    code = "eng"
    conjunctions = ("and", "but")
    very = "very"
    after_time = ","
    to_be = ("is", "are", "was", "were")
    there_is = ("there is", "there are", "there was", "there were")
    where = ("where is", "where are", "where was", "where were")

    def phrase(self, phrase: Phrase) -> str:
        if phrase.family:
            return WORDS["family"][phrase.noun]["eng"]
        noun = WORDS["nouns"][phrase.noun]["eng"].split()[phrase.plural]
        words = _join(phrase.adjective or "", noun)
        if phrase.definite:
            return f"the {words}"
        if phrase.count == "a":
            return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
        return f"{phrase.count} {words}"

    def predicate(self, adjective: str, subject: Phrase) -> str:
        return adjective

    def verb(self, verb: str, tense: str, plural: bool, negated: bool) -> str:
        base, third, past = _forms(WORDS["verbs"][verb]["eng"])
        if tense == "future":
            return f"will not {base}" if negated else f"will {base}"
        if negated:
            return f"{'did' if tense == 'past' else 'do' if plural else 'does'} not {base}"
        return past if tense == "past" else base if plural else third


class German(Grammar):
    code = "deu"
    conjunctions = ("und", "aber")
    very = "sehr"
    to_be = ("ist", "sind", "war", "waren")
    there_is = to_be
    where = ("wo ist", "wo sind", "wo war", "wo waren")

    def action(self, action: Action) -> str:
        """The finite verb comes second, the rest of it last."""
        finite, rest = self._parts(action.verb, action.tense, action.subject.plural)
        subject = self.phrase(action.subject)
        opening = (self.time(action), finite, subject) if action.time else (subject, finite)
        thing = self.phrase(action.object, accusative=True) if action.object else ""
        negation = "nicht" if action.negated else ""
        return _join(*opening, thing, negation, self.place(action.place), rest)

    def _parts(self, verb: str, tense: str, plural: bool) -> tuple[str, str]:
        singular, infinitive, participle = _forms(WORDS["verbs"][verb]["deu"])
        if tense == "past":
            return ("haben" if plural else "hat"), participle
        if tense == "future":
            return ("werden" if plural else "wird"), infinitive
        return (infinitive if plural else singular), ""

    def existence(self, meaning: Existence) -> str:
        be = _by_number(self.there_is, meaning.subject, meaning.tense)
        return _join(self.place(meaning.place), be, self.phrase(meaning.subject))

    def phrase(self, phrase: Phrase, accusative: bool = False) -> str:
        if phrase.family:
            return WORDS["family"][phrase.noun]["deu"][accusative]
        gender, singular, plural, *special = WORDS["nouns"][phrase.noun]["deu"].split()
        noun = special[0] if special and accusative else singular
        masculine_object = gender == "m" and accusative
        if phrase.plural:
            article = "die" if phrase.definite else WORDS["numbers"][phrase.count]["deu"]
            ending, noun = ("en" if phrase.definite else "e"), plural
        elif phrase.definite:
            article = "den" if masculine_object else {"m": "der", "f": "die", "n": "das"}[gender]
            ending = "en" if masculine_object else "e"
        else:
            article = "einen" if masculine_object else {"f": "eine"}.get(gender, "ein")
            ending = "en" if masculine_object else {"m": "er", "f": "e", "n": "es"}[gender]
        return _join(article, self._attribute(phrase.adjective, ending), noun)

    def _attribute(self, adjective: str | None, ending: str) -> str:
        if adjective is None:
            return ""
        stem: str = WORDS["adjectives"][adjective]["deu"].split()[1]
        return stem + ending

    def predicate(self, adjective: str, subject: Phrase) -> str:
        return WORDS["adjectives"][adjective]["deu"].split()[0]


class Romance(Grammar):
    """Articles, genders and adjectives behind the noun."""

    plural_articles = ("", "")  # masculine, feminine
    negation = ""

    def phrase(self, phrase: Phrase) -> str:
        if phrase.family:
            return WORDS["family"][phrase.noun][self.code]
        gender, singular, plural = WORDS["nouns"][phrase.noun][self.code].split()
        noun = plural if phrase.plural else singular
        return _join(self._determiner(phrase, gender, noun), self.described(phrase, noun))

    def _determiner(self, phrase: Phrase, gender: str, noun: str) -> str:
        if phrase.count in WORDS["numbers"]:
            return self.number(phrase.count, gender)
        if phrase.count == "the many":
            return self.plural_article(gender, noun)
        return self.definite(gender, noun) if phrase.definite else self.indefinite(gender, noun)

    def described(self, phrase: Phrase, noun: str) -> str:
        return _join(noun, self.predicate(phrase.adjective, phrase) if phrase.adjective else "")

    def predicate(self, adjective: str, subject: Phrase) -> str:
        forms = WORDS["adjectives"][adjective][self.code].split()
        return forms[2 * subject.plural + (self.gender(subject) == "f")]

    def gender(self, phrase: Phrase) -> str:
        if phrase.family:
            return "f" if phrase.noun in ("mother", "sister", "grandmother") else "m"
        return WORDS["nouns"][phrase.noun][self.code].split()[0]

    def plural_article(self, gender: str, noun: str) -> str:
        return self.plural_articles[gender == "f"]

    def verb(self, verb: str, tense: str, plural: bool, negated: bool) -> str:
        words = self.tensed(_forms(WORDS["verbs"][verb][self.code]), tense, plural)
        return f"{self.negation} {words}" if negated else words

    def definite(self, gender: str, noun: str) -> str:
        raise NotImplementedError

    def indefinite(self, gender: str, noun: str) -> str:
        raise NotImplementedError

    def tensed(self, forms: list[str], tense: str, plural: bool) -> str:
        raise NotImplementedError


class French(Romance):
    code = "fra"
    conjunctions = ("et", "mais")
    very = "très"
    after_time = ","
    question = ("", " ?")
    to_be = ("est", "sont", "était", "étaient")
    there_is = ("il y a", "il y a", "il y avait", "il y avait")
    where = ("où est", "où sont", "où était", "où étaient")
    plural_articles = ("les", "les")

    def definite(self, gender: str, noun: str) -> str:
        return "la" if gender == "f" else "le"

    def indefinite(self, gender: str, noun: str) -> str:
        return "une" if gender == "f" else "un"

    def described(self, phrase: Phrase, noun: str) -> str:
        entry = WORDS["adjectives"].get(phrase.adjective, {})
        if not entry.get("before"):
            return super().described(phrase, noun)
        adjective = self.predicate(phrase.adjective or "", phrase)
        masculine_singular = adjective == entry["fra"].split()[0] and not phrase.plural
        if masculine_singular and "vowel" in entry and _opens_with_vowel(noun):
            adjective = entry["vowel"]
        return f"{adjective} {noun}"

    def verb(self, verb: str, tense: str, plural: bool, negated: bool) -> str:
        singular, many, participle, infinitive = _forms(WORDS["verbs"][verb]["fra"])
        finite, rest = {
            "present": (many if plural else singular, ""),
            "past": ("ont" if plural else "a", participle),
            "future": ("vont" if plural else "va", infinitive),
        }[tense]
        return _join("ne", finite, "pas", rest) if negated else _join(finite, rest)

    def polish(self, text: str) -> str:
        return re.sub(r"\b(l|n)[ea] (?=[aeiouéèêâîôœh])", r"\1'", text)


class Spanish(Romance):
    code = "spa"
    conjunctions = ("y", "pero")
    very = "muy"
    question = ("¿", "?")
    to_be = ("es", "son", "era", "eran")
    to_be_now = ("está", "están", "estaba", "estaban")
    there_is = ("hay", "hay", "había", "había")
    where = ("dónde está", "dónde están", "dónde estaba", "dónde estaban")
    plural_articles = ("los", "las")
    negation = "no"

    def definite(self, gender: str, noun: str) -> str:
        return "la" if gender == "f" else "el"

    def indefinite(self, gender: str, noun: str) -> str:
        return "una" if gender == "f" else "un"

    def object(self, phrase: Phrase) -> str:
        """Persons, and animals that are known, take "a"."""
        known_animal = "animal" in phrase.tags and phrase.definite
        marked = "person" in phrase.tags or known_animal
        return f"a {self.phrase(phrase)}" if marked else self.phrase(phrase)

    def tensed(self, forms: list[str], tense: str, plural: bool) -> str:
        if tense == "future":
            return f"{'van' if plural else 'va'} a {forms[4]}"
        return forms[2 * (tense == "past") + plural]

    def polish(self, text: str) -> str:
        return re.sub(r"\ba el\b", "al", text)


class Italian(Romance):
    code = "ita"
    conjunctions = ("e", "ma")
    very = "molto"
    to_be = ("è", "sono", "era", "erano")
    there_is = ("c'è", "ci sono", "c'era", "c'erano")
    where = ("dov'è", "dove sono", "dov'era", "dove erano")
    negation = "non"

    def definite(self, gender: str, noun: str) -> str:
        if _opens_with_vowel(noun):
            return "l'"
        return "la" if gender == "f" else "lo" if _is_heavy(noun) else "il"

    def indefinite(self, gender: str, noun: str) -> str:
        if gender == "f":
            return "un'" if _opens_with_vowel(noun) else "una"
        return "uno" if _is_heavy(noun) else "un"

    def plural_article(self, gender: str, noun: str) -> str:
        light = not (_opens_with_vowel(noun) or _is_heavy(noun))
        return "le" if gender == "f" else "i" if light else "gli"

    def tensed(self, forms: list[str], tense: str, plural: bool) -> str:
        if tense == "past":
            return f"{'hanno' if plural else 'ha'} {forms[2]}"
        return forms[3 * (tense == "future") + plural]

    def polish(self, text: str) -> str:
        return text.replace("l' ", "l'").replace("un' ", "un'")


class Portuguese(Romance):
    code = "por"
    conjunctions = ("e", "mas")
    very = "muito"
    to_be = ("é", "são", "era", "eram")
    to_be_now = ("está", "estão", "estava", "estavam")
    there_is = ("há", "há", "havia", "havia")
    where = ("onde está", "onde estão", "onde estava", "onde estavam")
    plural_articles = ("os", "as")
    negation = "não"

    def definite(self, gender: str, noun: str) -> str:
        return "a" if gender == "f" else "o"

    def indefinite(self, gender: str, noun: str) -> str:
        return "uma" if gender == "f" else "um"

    def tensed(self, forms: list[str], tense: str, plural: bool) -> str:
        if tense == "future":
            return f"{'vão' if plural else 'vai'} {forms[4]}"
        return forms[2 * (tense == "past") + plural]


GRAMMARS: dict[str, Grammar] = {
    kind.code: kind() for kind in (German, English, French, Italian, Portuguese, Spanish)
}


def say(meaning: Meaning, language: str) -> str:
    """The one sentence for a meaning in a language (an ISO 639-3 code of LANGUAGES)."""
    return GRAMMARS[language].sentence(meaning)


def _join(*words: str) -> str:
    return " ".join(word for word in words if word)


def _forms(entry: str) -> list[str]:
    return [form.replace("_", " ") for form in entry.split()]


def _by_number(forms: tuple[str, ...], subject: Phrase, tense: str) -> str:
    return forms[2 * (tense == "past") + subject.plural]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _opens_with_vowel(word: str) -> bool:
    """True before an elision; every h of the lexicon's French nouns is mute."""
    return word[0] in "aeiouéèêâîôœh"


def _is_heavy(word: str) -> bool:
    """True where Italian says "lo": before s and a consonant."""
    return word[0] == "s" and word[1] not in "aeiou"


# --- meanings at random -------------------------------------------------------------------------


class Sampler:
    """Draws meanings that make sense: each verb and adjective says what it goes with."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def draw(self) -> Meaning:
        kinds = (self._action, self._state, self._existence, self._whereabouts, self._pair)
        return self._random.choices(kinds, weights=(50, 14, 12, 8, 16))[0]()

    def _action(self) -> Action:
        tense = self._random.choice(("present", "past", "future"))
        action = self._simple_action(tense)
        if action.object is None:
            return self._with_time(replace(action, negated=self._chance(0.2), place=self._place()))
        if action.object.definite and self._chance(0.25):
            return self._with_time(replace(action, negated=True))
        return self._with_time(replace(action, place=self._place() if self._chance(0.3) else None))

    def _simple_action(self, tense: str) -> Action:
        verb = self._random.choice(list(WORDS["verbs"]))
        entry = WORDS["verbs"][verb]
        subject = self._phrase(entry["by"], 0.25)
        thing = self._phrase(entry["of"], 0.35) if "of" in entry else None
        if thing is not None and thing.noun == subject.noun:
            return self._simple_action(tense)
        return Action(subject, verb, tense, thing)

    def _with_time(self, action: Action) -> Action:
        if not self._chance(0.35):
            return action
        return replace(action, time=self._random.choice(list(WORDS["times"][action.tense])))

    def _state(self) -> State:
        adjective = self._random.choice(list(WORDS["adjectives"]))
        subject = self._phrase(WORDS["adjectives"][adjective]["of"], 0.0, definite=True)
        return State(subject, adjective, self._now_or_then(), self._chance(0.35))

    def _existence(self) -> Existence:
        subject = self._phrase(["person", "animal", "thing"], 0.4, definite=False)
        return Existence(subject, self._place(), self._now_or_then())

    def _whereabouts(self) -> Whereabouts:
        tags = ["person", "animal", "food", "text", "thing"]
        return Whereabouts(self._phrase(tags, 0.4, definite=True), self._now_or_then())

    def _pair(self) -> Pair:
        tense = self._random.choice(("present", "past"))
        first, second = self._simple_action(tense), self._simple_action(tense)
        if first.subject == second.subject:
            return self._pair()
        return Pair(first, second, self._chance(0.4))

    def _phrase(self, tags: list[str], described: float, definite: bool | None = None) -> Phrase:
        noun = self._random.choice(_nouns_with(tuple(tags), definite is not False))
        if noun in WORDS["family"]:
            return Phrase(noun)
        phrase = Phrase(noun, self._count(definite))
        if not self._chance(described):
            return phrase
        return replace(phrase, adjective=self._random.choice(_adjectives_of(noun)))

    def _count(self, definite: bool | None) -> str:
        if definite is None:
            definite = self._chance(0.6)
        if definite:
            return self._random.choice(("the", "the many"))
        return "a" if self._chance(0.5) else self._random.choice(list(WORDS["numbers"]))

    def _place(self) -> str:
        return self._random.choice(list(WORDS["places"]))

    def _now_or_then(self) -> str:
        return self._random.choice(("present", "past"))

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability


@cache
def _nouns_with(tags: tuple[str, ...], with_family: bool) -> list[str]:
    nouns = [noun for noun, entry in WORDS["nouns"].items() if set(tags) & set(entry["tags"])]
    return nouns + (list(WORDS["family"]) if with_family and "person" in tags else [])


@cache
def _adjectives_of(noun: str) -> list[str]:
    tags = set(WORDS["nouns"][noun]["tags"])
    entries = WORDS["adjectives"].items()
    return [name for name, entry in entries if tags & set(entry["of"]) and "state" not in entry]


def held_out() -> list[Meaning]:
    """The meanings of the test sentences; nothing is ever trained on them."""
    return list(_distinct(HELD_OUT_SEED, HELD_OUT, frozenset()))


def training(count: int, seed: int) -> list[Meaning]:
    """So many different meanings, none of them held out."""
    return list(_distinct(seed, count, frozenset(held_out())))


def _distinct(seed: int, count: int, avoid: frozenset[Meaning]) -> Iterator[Meaning]:
    sampler, seen = Sampler(seed), set(avoid)
    while len(seen) < count + len(avoid):
        meaning = sampler.draw()
        if meaning not in seen:
            seen.add(meaning)
            yield meaning


def main() -> None:
    """Write the held-out sentences, line-aligned, one file a language."""
    folder = HERE / "text"
    folder.mkdir(exist_ok=True)
    for language in LANGUAGES:
        lines = [say(meaning, language) + "\n" for meaning in held_out()]
        (folder / f"{language}.devtest").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
