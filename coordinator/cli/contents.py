"""Which verbs there are, where each is, and what the page of all of them says.

Most verbs run for less time than all of them take to import, and so does that page: it is made of
the first paragraph of each verb's docstring, read as text.
"""

import ast
import inspect
from pathlib import Path

from cyclopts import App

from coordinator.cli.moments import (
    CLEAN_UP,
    DEBUG,
    LOOK,
    MEND,
    PREPARE,
    RUN,
    SCORES,
    SHELL,
    STEER,
    WHY,
)

# Module -> its verbs, and the group of each.
HOMES = {
    "verbs_items": {
        "items": PREPARE,
        "test-handler": PREPARE,
        "model-manifest": PREPARE,
        "demo": PREPARE,
    },
    "verbs_check": {"doctor": PREPARE, "credentials": STEER},
    "verbs_run": {"submit": RUN},
    "verbs_resubmit": {"resubmit": MEND},
    "verbs_plan": {"plan": LOOK},
    "verbs_redo": {"rescore": RUN, "rerun": RUN},
    "verbs_control": {"set": STEER, "pause": STEER, "resume": STEER, "stop": STEER},
    "verbs_look": {"status": LOOK, "ls": LOOK, "job-name": LOOK},
    "verbs_report": {"report": LOOK},
    "verbs_compare": {"compare": SCORES},
    "verbs_explain": {"explain": WHY, "why": WHY},
    "verbs_failures": {"failures": WHY},
    "verbs_text": {"show": SCORES},
    "verbs_monitor": {"metrics": LOOK, "bundle": WHY},
    "verbs_tensorboard": {"tensorboard": LOOK},
    "verbs_debug": {"debug": DEBUG, "run-one": DEBUG},
    "verbs_bring": {"logs": WHY, "fetch": LOOK},
    "verbs_mend": {"purge": CLEAN_UP, "rm": CLEAN_UP, "rebuild-ledger": MEND},
    "verbs_score": {"score": SCORES},
    "verbs_nomad": {"register-jobs": PREPARE},
    "verbs_completion": {"completion": SHELL},
}
HOME_OF = {verb: module for module, verbs in HOMES.items() for verb in verbs}


def verb_name(function: str) -> str:
    """What a function is called as a verb; a trailing underscore is no part of its name."""
    return function.rstrip("_").replace("_", "-")


def list_verbs(app: App) -> None:
    """Give `app` every verb by name and summary; none can be called."""
    for module, verbs in HOMES.items():
        summaries = _summaries(Path(__file__).with_name(f"{module}.py"))
        for verb, group in verbs.items():
            where = f"coordinator.cli.{module}:{verb}"
            app.command(where, name=verb, help=summaries[verb], group=group)


def _summaries(path: Path) -> dict[str, str]:
    """Verb -> the first paragraph of its docstring."""
    functions = (n for n in ast.parse(path.read_bytes()).body if isinstance(n, ast.FunctionDef))
    return {verb_name(f.name): _first_paragraph(ast.get_docstring(f) or "") for f in functions}


def _first_paragraph(text: str) -> str:
    return " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())
