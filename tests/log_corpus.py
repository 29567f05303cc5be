"""The labelled corpus of log cases in `tests/data/log-corpus`, and the trees that it is made of.

A file holds cases of one kind of tree (`own`, or `fim`: laid out as `inputs/rules/fim-pipeline.yml`
says). A case is what lies in the log tree of the one item `i1`, and what must be said of it:

    name, why   what it is, and by which rule it is judged
    is          one of LISTS: a failure kind, or how far it is otherwise
    looks       what a search for words would take it for, where that is wrong: a near miss
    at          `outcome` or `record`, where a failure is explained by no line of a log
    says        a part of the message; `message`: all of it

In the text of a log, the line that explains the failure begins with `→ `, which is not written;
`⟪1000 x⟫` stands for a thousand `x`. A log is text, or a mapping with `text`, `encoding`, `end` (of
its lines) and `cut` (bytes that its end lost). Of a dispatch of our own tree:

    exit, ending, nomad   how it ended: an exit code; an `Ending`; Nomad's records. None: it is out
    outcome               succeeded, no_data, a failure, or `raw`: the bytes of the file
    as                    fields that the outcome lies about
    outcome_file          another name that it has
    stderr, stdout        of the main task; `logs: missing`: it has none
    files                 any other file of the folder
    record                the bytes of `dispatch.json`, or `missing`
    state                 what the coordinator itself wrote of the attempt
    mates                 other items of the same dispatch, with their outcomes

Of a dispatch of the flood-mapping tree: `log` of its main task and other `files`; `time` and
`fields` of its folder's name; `children`: files of other jobs' folders.

Several dispatches stand in `dispatches`, in their order; `step` names the step of each, and
`steps` those of the batch.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from coordinator.cluster.nomad.endings import ending_of, is_over
from coordinator.domain.handoff import Failure, Outcome
from coordinator.domain.paths import DispatchLogs
from coordinator.domain.states import AttemptState, FailureKind
from coordinator.domain.verdicts import Ending, StopReason, verdict_of
from tests.log_trees import LogBuilder, outcome
from tests.support import REPOSITORY

FOLDER = REPOSITORY / "tests/data/log-corpus"
ITEM = "i1"
MARK = "→ "
_REPEATED = re.compile(r"⟪(\d+) ([^⟫]*)⟫")
_TOLD = {"name", "why", "looks", "at", "says", "message"}
_FACTS = {
    "own": "exit ending nomad outcome as outcome_file stderr stdout logs files record state mates"
    " step steps dispatches",
    "fim": "log files time fields children dispatches",
}
_PLACES = {"record": "dispatch.json", "outcome": f"outcomes/{ITEM}.json"}
_LINE_ENDS = {"lf": "\n", "crlf": "\r\n"}

# Label -> the list of a report that has the item, and no other of these.
LISTS = {
    "succeeded": "unique_success_item_names.txt",
    "no_data": "early_exit.txt",
    "not_run": "not_run.txt",
    **{how_far: f"{how_far}.txt" for how_far in ("running", "partial", "queued", "unfinished")},
    **{str(kind): f"fail_{kind}.txt" for kind in FailureKind},
}


@dataclass(frozen=True)
class Case:
    """One case; `facts` are what its tree is made of."""

    name: str
    why: str
    label: str
    tree: str
    looks: str = ""
    at: str = ""
    says: str = ""
    message: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return self.label if self.label in set(FailureKind) else ""


@dataclass
class Built:
    """A tree on disk, and the place in it that must be named; relative to the tree's folder."""

    folder: Path
    place: tuple[str, int | None] | None = None

    def put(self, path: Path, given: Any) -> None:
        """Write a log, and remember its marked line."""
        data, line = _stream(given)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if line is not None:
            assert self.place is None, "two lines are marked"
            self.place = (str(path.relative_to(self.folder)), line)


@cache
def cases() -> tuple[Case, ...]:
    """All of them, in the order of the files."""
    return tuple(case for path in sorted(FOLDER.glob("*.yml")) for case in _cases_of(path))


def _cases_of(path: Path) -> Iterator[Case]:
    document = yaml.load(path.read_text("utf-8"), _Loader)
    for entry in document["cases"]:
        told = {name: entry.pop(name) for name in _TOLD & entry.keys()}
        case = Case(label=entry.pop("is"), tree=document["tree"], facts=entry, **told)
        for facts in (entry, *entry.get("dispatches", ())):
            assert facts.keys() <= set(_FACTS[case.tree].split()), f"{case.name}: {facts.keys()}"
        yield case


class _Loader(yaml.SafeLoader):
    """Twin keys, of which the later would win unseen, are faults."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"line {node.start_mark.line + 1}: twin keys"
        return super().construct_mapping(node, deep)


def build(case: Case, root: Path) -> Built:
    """Write the case's tree below `root`."""
    built = {"own": _build_own, "fim": _build_fim}[case.tree](case, root)
    if case.at:
        assert built.place is None, "a line is marked, and another place named"
        built.place = (_PLACES[case.at], None)
    return built


def _stream(given: Any) -> tuple[bytes, int | None]:
    """The bytes of a log, and the number of its marked line."""
    given = {"text": given} if isinstance(given, str) else given
    lines = given["text"].split("\n")
    marked = [number for number, line in enumerate(lines, start=1) if line.startswith(MARK)]
    assert len(marked) < 2, "two lines are marked"
    text = _LINE_ENDS[given.get("end", "lf")].join(line.removeprefix(MARK) for line in lines)
    text = _REPEATED.sub(lambda found: int(found[1]) * found[2], text)
    data = text.encode(given.get("encoding", "utf-8"), "surrogateescape")
    return data[: len(data) - given.get("cut", 0)], marked[0] if marked else None


# our own trees


def _build_own(case: Case, root: Path) -> Built:
    builder = LogBuilder(root, steps=case.facts.get("steps", ["translate"]))
    builder.submit(ITEM)
    built = Built(root)
    for facts in case.facts.get("dispatches", [case.facts]):
        if facts.keys() - {"steps", "dispatches"}:
            _own_dispatch(builder, built, facts)
    return built


def _own_dispatch(builder: LogBuilder, built: Built, facts: Mapping[str, Any]) -> None:
    ours = facts.get("outcome")
    raw = ours.get("raw") if isinstance(ours, dict) else None
    outcomes = {item: _outcome(given) for item, given in facts.get("mates", {}).items()}
    if ours is not None and raw is None:
        outcomes[ITEM] = _outcome(ours)
    logs = builder.dispatch(
        facts.get("step", builder.steps[0]),
        [ITEM, *facts.get("mates", {})],
        outcomes=outcomes,
        ending=_ending(facts),
        states=_states(facts),
    )
    if raw is not None:
        logs.outcome(ITEM).write_bytes(_stream(raw)[0])
    _falsify(logs, facts)
    for name, given in _files(facts).items():
        built.put(logs.folder / name, given)


def _files(facts: Mapping[str, Any]) -> dict[str, Any]:
    files = dict(facts.get("files", {}))
    for stream in ("stderr", "stdout"):
        if stream in facts:
            files[f"worker.{stream}.0"] = facts[stream]
    return files


def _falsify(logs: DispatchLogs, facts: Mapping[str, Any]) -> None:
    """What is wrong with the files that a whole tree would have."""
    path = logs.outcome(ITEM)
    if "as" in facts:
        found = Outcome.model_validate_json(path.read_bytes())
        path.write_text(found.model_copy(update=facts["as"]).model_dump_json())
    if "outcome_file" in facts:
        path.rename(path.with_name(facts["outcome_file"]))
    if facts.get("record") == "missing":
        logs.record.unlink()
    elif "record" in facts:
        logs.record.write_bytes(_stream(facts["record"])[0])
    if facts.get("logs") == "missing":
        for stream in ("stderr", "stdout"):
            logs.stream("worker", stream).unlink()


def _outcome(given: Any) -> Outcome:
    if isinstance(given, dict):
        return outcome(failure=Failure(kind=FailureKind(given["kind"]), message=given["message"]))
    assert given in ("succeeded", "no_data")
    return outcome(no_data=given == "no_data")


def _ending(facts: Mapping[str, Any]) -> Ending | None:
    if "nomad" in facts:
        return _nomad_ending(facts["nomad"])
    if "ending" in facts:
        stop = StopReason(facts["ending"].get("stop", ""))
        return Ending(**{**facts["ending"], "stop": stop})
    return Ending(exit_code=facts["exit"]) if "exit" in facts else None


def _states(facts: Mapping[str, Any]) -> dict[str, tuple[AttemptState, FailureKind | None, str]]:
    """What the coordinator wrote of the attempt, where that does not follow from the files."""
    if "state" in facts:
        state, kind, reason = facts["state"]
        return {ITEM: (AttemptState(state), FailureKind(kind) if kind else None, reason)}
    ending = _ending(facts)
    if ending is None or not facts.keys() & {"as", "outcome_file"}:
        return {}
    verdict = verdict_of(None, ending)  # it took a false outcome for none
    return {ITEM: (verdict.state, verdict.kind, verdict.reason)}


def _nomad_ending(given: Mapping[str, Any]) -> Ending | None:
    """What the coordinator makes of Nomad's documents. `tasks`: task -> its events, as
    `<type>: <message>`; of a Terminated event the message is `<exit code> [signal] [oom]`.
    """
    if "allocation" not in given:
        return ending_of({"ID": "j", "Stop": given.get("stop", False)}, [], "worker")
    client, desired, said = given["allocation"]
    tasks = {name: _task_state(client, events) for name, events in given["tasks"].items()}
    allocation = {
        "ID": "a",
        "CreateIndex": 1,
        "NodeName": "n",
        "ClientStatus": client,
        "ClientDescription": "",
        "DesiredStatus": desired,
        "DesiredDescription": said,
        "TaskStates": tasks,
    }
    job = {"ID": "j", "Status": given.get("job", "dead"), "Stop": given.get("stop", False)}
    return ending_of(job, [allocation], "worker") if is_over(job, [allocation]) else None


def _task_state(client: str, events: list[str]) -> dict[str, Any]:
    is_alive = client in ("pending", "running", "unknown")
    return {
        "State": "running" if is_alive else "dead",
        "Events": [_event(*event.split(": ", 1)) for event in events],
    }


def _event(kind: str, message: str = "") -> dict[str, Any]:
    if kind != "Terminated":
        return {"Type": kind, "DisplayMessage": message}
    code, *more = message.split()
    details = {
        "exit_code": code,
        "signal": next((word for word in more if word.isdigit()), "0"),
        "oom_killed": "true" if "oom" in more else "false",
    }
    return {"Type": kind, "DisplayMessage": f"Exit Code: {code}", "Details": details}


# the trees of a flood-mapping batch


def _build_fim(case: Case, root: Path) -> Built:
    built = Built(root)
    batch = root / "b"
    (batch / "pipeline" / _fim_folder("batch_name=b,aoi_name=neighbour", 0)).mkdir(parents=True)
    for number, facts in enumerate(case.facts.get("dispatches", [case.facts])):
        if facts:
            _fim_dispatch(batch / "pipeline", built, number, facts)
    for job, files in case.facts.get("children", {}).items():
        folder = batch / job / _fim_folder(f"batch_name=b,aoi_name={ITEM},scenario=s", 50)
        for name, given in files.items():
            built.put(folder / name, given)
    return built


def _fim_dispatch(pipeline: Path, built: Built, number: int, facts: Mapping[str, Any]) -> None:
    fields = facts.get("fields", f"batch_name=b,aoi_name={ITEM},collection=c")
    folder = pipeline / _fim_folder(fields, facts.get("time", number))
    folder.mkdir()
    files = {"coordinator.stderr.0": facts["log"]} if "log" in facts else {}
    for name, given in {**files, **facts.get("files", {})}.items():
        built.put(folder / name, given)


def _fim_folder(fields: str, time: int) -> str:
    return f"dispatch-[{fields}]-{time}-0123abcd"
