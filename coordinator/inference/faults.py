"""What models raise, in short."""

LONGEST = 300  # characters of an error in one line; the whole of it is in the traceback


def is_out_of_memory(error: BaseException) -> bool:
    """Whether more memory may cure it. Asked by name: torch may not be imported here."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def in_one_line(error: BaseException) -> str:
    """The error's kind and the first line of what it says."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".removesuffix(": ")[:LONGEST]
