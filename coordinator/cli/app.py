"""The verbs and their flags."""

import os
import traceback
from pathlib import Path

from cyclopts import App, CycloptsError, Parameter

from coordinator import __version__
from coordinator.cli import (
    verbs_bring,
    verbs_check,
    verbs_control,
    verbs_items,
    verbs_look,
    verbs_mend,
    verbs_nomad,
    verbs_plan,
    verbs_redo,
    verbs_run,
    verbs_score,
)
from coordinator.cli.interrupts import say_interrupted
from coordinator.cli.output import Output
from coordinator.commands.departure import ANSWER_SECONDS, departure
from coordinator.errors import CoordinatorError, ExitCode, UsageError
from coordinator.secrecy import known
from coordinator.secrecy.dumps import leave_no_core_dump
from coordinator.secrecy.screen import masked_screen
from coordinator.secrecy.sources import in_environment, in_files, in_words

app = App(
    name="coordinator",
    version=__version__,
    help="Run batches of jobs on Nomad or on this machine, and account for every item.",
    help_format="plaintext",
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # `run` says more than nothing
    default_parameter=Parameter(name_transform=str.lower, show_default=False),
)
for module in (
    verbs_items,
    verbs_check,
    verbs_run,
    verbs_plan,
    verbs_redo,
    verbs_control,
    verbs_look,
    verbs_bring,
    verbs_mend,
    verbs_score,
    verbs_nomad,
):
    module.add_to(app)


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
        return int(app(argv, exit_on_error=False, print_error=False) or 0)
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
    verb = argv[0] if argv and argv[0] in app else ""
    what = str(error).strip().splitlines()[0] if str(error).strip() else "that cannot be parsed"
    return UsageError(what, hint=f"coordinator {verb} --help".replace("  ", " "))


def _defect(error: Exception) -> CoordinatorError:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return CoordinatorError(
        f"a defect in the coordinator: {type(error).__name__}: {error}",
        why=f"at {Path(where.filename).name}:{where.lineno}; what was committed is safe",
        hint="the same command with --debug shows the traceback; please report it",
    )
