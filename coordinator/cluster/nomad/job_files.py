"""Job files and files of variables: where they are, and the variables that go with a job file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from coordinator.cluster.nomad.hcl import Value, assigned_names, assignments, declared_names
from coordinator.errors import BadInput, Problem
from coordinator.settings import nearest

MAX_BYTES = 1_000_000

# Set by the coordinator, and where a user says what is in them.
OWN_VARIABLES: Mapping[str, str] = {
    "job_id": "it follows from batch and step",
    "batch": "it is --batch_name",
    "uid": "it is made for each batch",
    "step": "it is the step's name in the pipeline file",
    "output_root": "use --output_root, or output_root in the pipeline file",
    "cpu": "use resources.cpu of the step",
    "memory_mb": "use resources.memory_mb of the step",
    "gpus": "use resources.gpus of the step",
    "region": "use nomad.region in the pipeline file, or NOMAD_REGION",
    "namespace": "use nomad.namespace in the pipeline file, or NOMAD_NAMESPACE",
    "credentials": "use --use-local-creds",
    "worker_environment": "use environment",
    "own_python": "use python",
}


@dataclass(frozen=True)
class SourceText:
    """A text, and the name by which messages call it."""

    name: str
    text: str


NOTHING = SourceText("", "")


def shipped_job_file(job: str) -> Path:
    """The job file that comes with the coordinator for `inference`, `scoring` or `command`."""
    here = Path(__file__).resolve()
    installed = here.parents[2] / "job_defs"  # beside the package's modules, in a wheel
    folder = installed if installed.is_dir() else here.parents[3] / "job_defs"
    return folder / f"{job}.nomad.hcl"


def read_source(path: Path) -> SourceText:
    """The text of a job file or a file of variables.

    Raises:
        BadInput: it cannot be read, is too large or not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        text = raw.decode()
    except OSError as error:
        raise BadInput(f"{path} cannot be read", why=error.strerror or str(error)) from error
    except ValueError as error:
        raise BadInput(f"{path} is not UTF-8 text", hint="is it the right file?") from error
    if len(raw) > MAX_BYTES:
        raise BadInput(f"{path} is larger than {MAX_BYTES:,} bytes", hint="is it the right file?")
    return SourceText(str(path), text)


def source_of_mapping(values: Mapping[str, Value], name: str) -> SourceText:
    """Variables that stand in the pipeline file itself."""
    return SourceText(name, assignments(values))


def variable_problems(job_file: SourceText, users: SourceText, own: set[str]) -> Iterator[Problem]:
    """What is wrong with the names that the user sets: Nomad itself passes over unknown ones."""
    declared = declared_names(job_file.text)
    for name, line in assigned_names(users.text):
        where = f"{users.name}:{line}"
        if name in own:
            yield Problem(where, f"{name} is set by the coordinator", _own_way(name))
        elif name not in declared:
            why = f"{job_file.name} declares no variable {name!r}"
            yield Problem(where, why, nearest(name, declared - own))


def _own_way(name: str) -> str:
    return OWN_VARIABLES.get(name, f"nomad.{name} in the pipeline file says it already")


def variables_text(job_file: SourceText, users: SourceText, own: Mapping[str, Value]) -> str:
    """What fills the job file's variables: the user's lines first, so that their numbers hold.

    Of the coordinator's own only those that the file declares: others would change nothing. A name
    that the user took (see `variable_problems`) is left out, so that the rest can still be parsed.
    """
    taken = {name for name, _ in assigned_names(users.text)}
    declared = declared_names(job_file.text) - taken
    needed = {name: value for name, value in own.items() if name in declared}
    return f"{users.text.rstrip()}\n{assignments(needed)}"
