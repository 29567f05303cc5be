"""Made-up text to score: references, and hypotheses that are damaged copies of them."""

import random
from collections.abc import Sequence

_WORDS = """
river Haus école здравствуйте ماء 水 を食べる 한국어 नमस्ते naïve don't 3.14 1,000 İzmir -- U.S.
state-of-the-art &quot;quoted&quot; (aside) «guillemets» <skipped> 🙂 … 100% x ½
""".split()  # noqa: SIM905 - easier to read than a list
_WORDS += ["e\u0301clair", "\U0001f469\u200d\U0001f467", "a\u00a0b", "soft\u00adhyphen"]
_WORDS += ["\u200bzero", "\ufb01ne"]
_EDGES = ("", " ", ".", "a", "\u2028", "\u3000", "tab\there", "nul\0here", "line\nend", "  both  ")


def sentences(seed: int, count: int) -> list[str]:
    """`count` lines of mixed scripts; every ninth or so is an edge case, at times an empty one."""
    rng = random.Random(seed)
    return [_sentence(rng) for _ in range(count)]


def damaged(lines: Sequence[str], seed: int) -> list[str]:
    """Each line with words dropped, repeated, swapped or replaced; some empty, some untouched."""
    rng = random.Random(seed + 1_000_003)
    return [_damage(line, rng) for line in lines]


def _sentence(rng: random.Random) -> str:
    if rng.random() < 0.1:
        return rng.choice(_EDGES)
    words = rng.choices(_WORDS, k=rng.randint(1, 25))
    return " ".join(words) + rng.choice(["", ".", " .", "?", "。", " "])


def _damage(line: str, rng: random.Random) -> str:
    words = line.split(" ")
    match rng.randrange(7):
        case 0:
            return ""
        case 1:
            return " ".join(word for word in words if rng.random() < 0.7)
        case 2:
            return " ".join(words + words[: rng.randint(0, 4)])
        case 3:
            rng.shuffle(words)
            return " ".join(words)
        case 4:
            return " ".join(rng.choice(_WORDS) if rng.random() < 0.4 else w for w in words)
        case 5:
            return line.upper()
    return line
