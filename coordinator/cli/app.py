"""The verbs and their flags."""

import gc
import os
import traceback
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import get_args

from cyclopts import App, CoercionError, CycloptsError, Parameter

from coordinator import __version__
from coordinator.cli.contents import HOME_OF, HOMES, list_verbs
from coordinator.cli.interrupts import say_interrupted
from coordinator.cli.moments import OPTIONS
from coordinator.cli.output import Output
from coordinator.commands.departure import ANSWER_SECONDS, departure
from coordinator.domain.shown import for_terminal
from coordinator.domain.states import FailureKind
from coordinator.errors import CoordinatorError, ExitCode, UsageError
from coordinator.secrecy import known
from coordinator.secrecy.dumps import leave_no_core_dump
from coordinator.secrecy.screen import masked_screen
from coordinator.secrecy.sources import in_environment, in_files, in_words
from coordinator.settings import among, load_settings

FLAGS = ("--help", "-h", "--version")  # without a verb


@cache
def app_of(*modules: str) -> App:
    """The program with the verbs of these modules."""
    app = _no_verbs()
    for module in modules:
        import_module(f"coordinator.cli.{module}").add_to(app)
        for verb, group in HOMES[module].items():
            app[verb].group = (group,)
    return app


def whole_app() -> App:
    """The program with all its verbs."""
    return app_of(*HOMES)


def contents() -> App:
    """The program with the names of its verbs, for the page that lists them."""
    app = _no_verbs()
    list_verbs(app)
    return app


def _no_verbs() -> App:
    app = App(
        name="coordinator",
        version=__version__,
        help="Run batches of jobs on Nomad or on this machine, and account for every item.",
        help_format="plaintext",
        result_action="return_value",
        suppress_keyboard_interrupt=False,  # `run` says more than nothing
        default_parameter=Parameter(name_transform=str.lower, show_default=False),
    )
    for flag in FLAGS:
        app[flag].group = (OPTIONS,)
    return app


def _app_for(argv: list[str]) -> App:
    first = argv[0] if argv else "--help"
    if first in HOME_OF:
        app = app_of(HOME_OF[first])
    elif first in FLAGS:
        app = contents()
    else:
        raise _no_verb(first)
    if not gc.isenabled():  # see `main`
        gc.freeze()
        gc.enable()
    return app


def _no_verb(word: str) -> UsageError:
    typed = for_terminal(word)
    if word.startswith("-"):
        return UsageError(f"a verb is missing before {typed}", hint="coordinator --help lists them")
    if _is_batch(word):
        return UsageError(f"{typed} is a batch, not a verb", hint=f"coordinator status {typed}")
    known = among(typed, HOME_OF, "verb", len(HOME_OF), "coordinator --help")
    return UsageError(f"there is no verb {typed!r}", hint=known)


def _is_batch(word: str) -> bool:
    from coordinator.commands.unknown import batch_names  # takes a while to import

    with suppress(CoordinatorError):  # of the settings: what is wrong here is the verb
        return word in batch_names(load_settings())
    return False


def run(argv: list[str]) -> int:
    """Parse, call one verb, and turn every error into a message and an exit code."""
    leave_no_core_dump()
    with masked_screen():
        return _run(argv)


def _run(argv: list[str]) -> int:
    output = Output(as_json="--json" in argv)
    debug = "--debug" in argv
    try:
        known.learn(in_environment(os.environ) | in_files(os.environ) | in_words(argv))
        return int(_app_for(argv)(argv, exit_on_error=False, print_error=False) or 0)
    except CoordinatorError as error:
        if debug:
            traceback.print_exc()
        output.error(error)
        return int(error.exit_code)
    except CycloptsError as error:
        output.error(_usage_error(error, argv))
        return int(ExitCode.USAGE)
    except KeyboardInterrupt:
        if departure.is_ordered:  # its words are said here
            departure.within(ANSWER_SECONDS, ExitCode.INTERRUPTED)
        say_interrupted(argv)
        return int(ExitCode.INTERRUPTED)
    except Exception as defect:
        if debug:
            traceback.print_exc()
        output.error(_defect(defect))
        return int(ExitCode.STOPPED_EARLY)


def _usage_error(error: CycloptsError, argv: list[str]) -> UsageError:
    verb = argv[0] if argv and argv[0] in HOME_OF else ""
    if isinstance(error, CoercionError) and error.token and _is_kind(error.target_type):
        typed = for_terminal(error.token.value)
        known = among(typed, map(str, FailureKind), "kind", len(FailureKind), "coordinator explain")
        return UsageError(f"{typed!r} is no kind of failure", hint=known)
    what = str(error).strip().splitlines()[0] if str(error).strip() else "that cannot be parsed"
    return UsageError(what, hint=f"coordinator {verb} --help".replace("  ", " "))


def _is_kind(wanted: object) -> bool:
    """Whether a kind of failure was asked for, or several."""
    return wanted is FailureKind or FailureKind in get_args(wanted)


def _defect(error: Exception) -> CoordinatorError:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return CoordinatorError(
        f"a defect in the coordinator: {type(error).__name__}: {error}",
        why=f"at {Path(where.filename).name}:{where.lineno}; what was committed is safe",
        hint="the same command with --debug shows the traceback; please report it",
    )
