"""What a batch was cut down to, for a quick try. Whatever comes of such a batch says so."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

TINY_MODEL = "tiny-model"  # in the place of a model's address: the stand-in that the worker has
SPLIT = "mt:split"
_SPLITS = ("dev", "devtest", "test")
_MOST = 1_000_000_000


class Limits(BaseModel):
    """What was left out.

    Attributes:
        items: only so many, the first of those that were asked for; None = all.
        sentences: only the first so many of each text; of each split, where there are three
            numbers (dev, devtest, test); () = all.
        tiny_model: nothing is translated: a stand-in answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: int | None = Field(default=None, ge=1)
    sentences: tuple[int, ...] = ()
    tiny_model: bool = False

    @field_validator("sentences")
    @classmethod
    def _sentences_are_some(cls, sentences: tuple[int, ...]) -> tuple[int, ...]:
        if len(sentences) not in (0, 1, len(_SPLITS)):
            raise ValueError("it is one number, or three: of dev, devtest and test")
        if not all(1 <= number <= _MOST for number in sentences):
            raise ValueError("each number is at least 1")
        return sentences

    @property
    def by_split(self) -> bool:
        return len(self.sentences) > 1

    def sentences_of(self, split: object) -> int:
        """How many sentences are left of a text of this split; 0 = all.

        A split that has no number of its own gets the smallest: too little is the safer mistake.
        """
        if not self.by_split:
            return next(iter(self.sentences), 0)
        numbers = dict(zip(_SPLITS, self.sentences, strict=True))
        return numbers.get(str(split), min(self.sentences))

    def __str__(self) -> str:
        """`limited: ...`, or "" where nothing is left out."""
        parts = [
            f"the first {_counted(self.items, 'item')}" if self.items else "",
            f"the first {self._numbers()} of each text" if self.sentences else "",
            "the tiny model, a stand-in that translates nothing" if self.tiny_model else "",
        ]
        return f"limited: {'; '.join(filter(None, parts))}" if any(parts) else ""

    def _numbers(self) -> str:
        if self.by_split:
            numbers = ", ".join(map(str, self.sentences))
            return f"{numbers} sentences ({', '.join(_SPLITS)})"
        return _counted(self.sentences[0], "sentence")


ALL = Limits()  # nothing is left out


def _counted(number: int, noun: str) -> str:
    return noun if number == 1 else f"{number:,} {noun}s"


def sentences_from(text: str) -> tuple[int, ...]:
    """The numbers of `4` or `4,1,2`. Raises ValueError: it is neither."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError("it is one number, or three with commas between them") from None
    return Limits(sentences=numbers).sentences
