"""Each item runs a program: the job of pipelines that are not about translation."""

import os
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from coordinator.domain import curves
from coordinator.domain.handoff import Handoff, HandoffItem
from coordinator.domain.job_options import CommandOptions
from coordinator.domain.work import Done
from coordinator.errors import (
    BadInput,
    CredentialsError,
    ModelError,
    StorageUnavailable,
    WorkerExit,
)

_PLACEHOLDER = re.compile(r"\{(item|out|input\.[^{}]+|property\.[^{}]+)\}")


class CommandJob:
    """Runs `options.command` without a shell; its standard output becomes `stdout.txt`."""

    def __init__(self, handoff: Handoff) -> None:
        self._options = CommandOptions.model_validate(handoff.options)

    def run(self, item: HandoffItem, inputs: Mapping[str, Path], out: Path) -> Done:
        values = _values(item, inputs, out)
        argv = [filled(argument, values) for argument in self._options.command]
        began = time.monotonic()
        with (out / "stdout.txt").open("wb") as stdout:
            code = _call(argv, out, stdout)
        facts = {"seconds": time.monotonic() - began, "exit_code": code}
        if code == 0:
            return Done(facts)
        if code == self._options.no_data_exit_code:
            return Done(facts, no_data=True, message=f"exit code {code}")
        raise _error(argv[0], code)


def filled(argument: str, values: Mapping[str, str]) -> str:
    """`argument` with its placeholders replaced, once: what comes in is not looked at again.

    Raises:
        BadInput: the item has no such input or property.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise BadInput(f"the item has no {found[1]}", why=f"the command uses {found[0]}")
        return values[found[1]]

    return _PLACEHOLDER.sub(value, argument)


def _values(item: HandoffItem, inputs: Mapping[str, Path], out: Path) -> dict[str, str]:
    values = {"item": item.item, "out": str(out)}
    values.update({f"input.{name}": str(path) for name, path in inputs.items()})
    values.update({f"property.{name}": str(value) for name, value in item.properties.items()})
    return values


def _call(argv: list[str], out: Path, stdout: BinaryIO) -> int:
    try:
        return subprocess.run(
            argv, cwd=out, stdout=stdout, env=_environment(out), check=False
        ).returncode
    except (OSError, ValueError) as error:
        raise ModelError(f"{argv[0]!r} cannot be run", why=str(error)) from error


def _environment(out: Path) -> dict[str, str]:
    return {**os.environ, curves.VARIABLE: str(curves.folder_beside(out))}


def _error(program: str, code: int) -> Exception:
    """An exit code after sysexits(3) as the error that it stands for."""
    ended = f"ended with exit code {code}" if code > 0 else f"was killed by signal {-code}"
    what = f"{program} {ended}"
    if code == WorkerExit.BAD_INPUT:
        return BadInput(what)
    if code == WorkerExit.TRY_AGAIN:
        return StorageUnavailable(what)
    if code == WorkerExit.CREDENTIALS:
        return CredentialsError(what)
    if code == WorkerExit.TIMEOUT:
        return TimeoutError(what)
    if code in (-9, 137):
        return MemoryError(f"{what}: out of memory, most likely")
    return ModelError(what, hint="its standard error is in the job's log")
