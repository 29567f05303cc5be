"""A crash leaves no core file: it would hold whatever the process knew."""

import resource


def leave_no_core_dump() -> None:
    """For this process and those that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
