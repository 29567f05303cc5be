"""The verb that teaches a shell the verbs, flags and names: completion."""

import sys
from typing import Annotated, Literal

from cyclopts import App, Parameter

from coordinator.cli.options import NO_COMMON, Common
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.errors import ExitCode

_THEN = {
    "bash": "open a new shell (with bash-completion installed), or type: source {path}",
    "zsh": "put its folder into fpath before compinit in ~/.zshrc: fpath=({folder} $fpath)",
    "fish": "open a new shell",
}


def add_to(app: App) -> None:
    add_verb(app, completion)


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="which shell")],
    /,
    *,
    install: Annotated[
        bool, Parameter(help="write it to where the shell looks for it", negative="")
    ] = False,
    common: Common = NO_COMMON,
) -> int:
    """Print a script that completes verbs, flags, kinds, and the names of batches and items.

    Names come from the ledgers on this machine, at the moment that they are asked for.

    Examples:
    coordinator completion bash

    coordinator completion fish --install
    """
    from coordinator.cli.app import whole_app

    output, app = Output(as_json=common.json), whole_app()
    if install:
        path = app.install_completion(shell=shell, add_to_startup=False)
        then = _THEN[shell].format(path=path, folder=path.parent)
        output.result({"shell": shell, "file": str(path)}, f"{shell} -> {path}", f"  {then}")
        return ExitCode.OK
    script = app.generate_completion(shell=shell)
    if common.json:
        output.result({"shell": shell, "script": script})
    else:
        sys.stdout.write(f"{script}\n")  # as it is: no width, no escapes
    return ExitCode.OK
