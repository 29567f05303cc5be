"""What is wrong with a document, as its reader found it, in plain words."""

from pydantic import ValidationError


def first_error(error: ValidationError) -> str:
    """The first fault of a validation error in plain words: `field: what is wrong`."""
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    return f"{where}: {fault['msg']}" if where else fault["msg"]
