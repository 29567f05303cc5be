"""Which items are whole, whatever is said of their sentences, how often and in which order."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import ModelError
from coordinator.inference.book import Book, Text, Translated

SENTENCES = st.lists(st.sampled_from(["", " ", "one", "two", "three"]), max_size=6)


def texts_of(items: list[list[str]]) -> list[Text]:
    return [Text(f"item-{n}", lines, "eng", "deu") for n, lines in enumerate(items)]


@given(st.lists(SENTENCES, max_size=5), st.booleans(), st.data())
def test_an_item_is_whole_once_all_its_lines_are(
    items: list[list[str]], every_line: bool, data: st.DataObject
) -> None:
    """A sentence may be told again: of a process that was killed when it had just answered."""
    book: Book[int] = Book(every_line=every_line)
    fresh = [unit for n, text in enumerate(texts_of(items)) for unit in book.take(n, text)]
    told = data.draw(st.permutations([*fresh, *fresh]))
    ended = dict(book.ended())
    for unit in told:
        book.settle(unit, unit.text.upper(), 1.0)
        ended |= dict(book.ended())
    assert len(book) == 0
    for number, lines in enumerate(items):
        found = ended[number]
        assert isinstance(found, Translated)
        blank = [line.upper() if every_line or line.strip() else "" for line in lines]
        assert found.translations == blank


def test_what_is_told_twice_ends_no_item_that_lacks_others() -> None:
    book: Book[str] = Book()
    one, _two = book.take("x", Text("x", ["one", "two"], "eng", "deu"))
    for _ in range(2):
        book.settle(one, "ONE", 1.0)
    assert list(book.ended()) == [] and len(book) == 1


def test_a_sentence_that_fails_takes_all_items_that_hold_it() -> None:
    book: Book[str] = Book()
    [one] = book.take("a", Text("a", ["one"], "eng", "deu"))
    [two] = book.take("b", Text("b", ["one", "two"], "eng", "deu"))
    assert list(book.places(one)) == [("a", 1), ("b", 1)]
    book.fail(one, [ModelError("broken"), ModelError("broken")])
    assert [name for name, found in book.ended() if isinstance(found, ModelError)] == ["a", "b"]
    assert not book.is_wanted(two) and len(book) == 0
