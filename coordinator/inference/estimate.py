"""How long a sentence is likely to be, for a model whose tokenizer is not at hand."""

_BYTES_A_TOKEN = 4  # English has about so many; other scripts more bytes, but also more a token


def likely_tokens(text: str) -> int:
    """About how many tokens `text` is; at least 1. Good enough to put like lengths together."""
    return 1 + len(text.encode("utf-8", "replace")) // _BYTES_A_TOKEN
