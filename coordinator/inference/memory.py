"""Running out of memory, which a retry with more memory can cure."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says so. Asked by name: torch may not be imported here."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
