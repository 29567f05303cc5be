"""The coordinator's own log, which each command of one process sets up anew."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.bootstrap import set_up_log


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("coordinator")
    before, propagates = logger.handlers[:], logger.propagate
    yield logger
    for handler in logger.handlers:
        handler.close()
    logger.handlers[:], logger.propagate = before, propagates


def test_the_file_of_an_earlier_batch_is_closed(tmp_path: Path, logger: logging.Logger) -> None:
    set_up_log(tmp_path / "one/coordinator.log")
    logger.info("first")
    [handler] = logger.handlers
    assert isinstance(handler, logging.FileHandler) and handler.stream is not None
    stream = handler.stream
    set_up_log(tmp_path / "two/coordinator.log")
    logger.info("second")
    assert stream.closed
    assert "second" in (tmp_path / "two/coordinator.log").read_text()
    assert "second" not in (tmp_path / "one/coordinator.log").read_text()
