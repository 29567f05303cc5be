"""Another try where one may help: the one way in which this package uses stamina."""

import functools
import logging

import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

_log = logging.getLogger(__name__)


def _note(details: RetryDetails) -> None:
    """Says that it waits, and not for what: arguments hold signed addresses and whole files."""
    reason = type(details.caused_by).__name__
    _log.info("try %d in %.1f s after %s", details.retry_num + 1, details.wait_for, reason)


# stamina's own hook would print the arguments, and to standard output where structlog is installed.
set_on_retry_hooks([_note])

again = functools.partial(
    stamina.retry, attempts=4, wait_initial=0.3, wait_max=8.0, wait_jitter=1.0, timeout=120.0
)
"""`@again(on=SomeError)`: four tries within two minutes."""
