"""What became of an item that has ended, and what shows it: from its ledger and its logs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from coordinator.commands.reasons import Reason
from coordinator.commands.record import BatchRecord
from coordinator.domain.states import DONE, DONE_ITEMS, FailureKind, ItemState
from coordinator.domain.verdicts import Ending, StopReason
from coordinator.reports.dispatches import Attempt, read_dispatch
from coordinator.reports.explain import explain
from coordinator.reports.history import ItemReport, Standing
from coordinator.reports.rules import our_rules
from coordinator.reports.tree import Tree


def became(
    record: BatchRecord, item: str, state: ItemState, history: Sequence[Mapping[str, Any]]
) -> tuple[Reason, ...]:
    """The verdict, its evidence, and the next command. `history`: all attempts, oldest first."""
    rows = [row for row in history if row["state"] in DONE] if state in DONE_ITEMS else history
    verdict = _verdict(record, item, state, rows[-1])
    return (verdict, *_evidence(record, item, rows[-1]))


def _verdict(record: BatchRecord, item: str, state: ItemState, row: Mapping[str, Any]) -> Reason:
    step, said = record.steps[row["step"]], f": {row['reason']}" if row["reason"] else ""
    if state is ItemState.SUCCEEDED:
        return Reason("succeeded", f"it succeeded in all its steps{said}", _show(record, item))
    if state is ItemState.NO_DATA:
        return Reason("no_data", f"it had nothing to do in {step}, as expected{said}")
    kind = FailureKind(row["kind"] or FailureKind.UNKNOWN)
    again = f"coordinator explain {kind} says what to do; then coordinator resubmit {record.batch}"
    return Reason(str(state), f"{kind} in {step}, attempt {row['number']}{said}", f"{again} {item}")


def _show(record: BatchRecord, item: str) -> str:
    return f"coordinator show {record.batch} {item}" if record.pipeline.uses("scoring") else ""


def _evidence(record: BatchRecord, item: str, row: Mapping[str, Any]) -> Iterator[Reason]:
    """By what it was judged; and where its log says so."""
    if row["dispatch_name"] is None:
        yield Reason("evidence", "no job was ever sent for this attempt")
        return
    tree = Tree(record.logs.root.resolve())
    folder = tree.base / record.batch / record.steps[row["step"]] / row["dispatch_name"]
    attempts = read_dispatch(tree, folder, ()).attempts if folder.is_dir() else ()
    attempt = next((a for a in attempts if (a.item, a.number) == (item, row["number"])), None)
    logs = f"coordinator logs {record.batch} {item}"
    if attempt is None:
        yield Reason("evidence", f"its logs are not in {folder}", logs)
        return
    yield Reason("evidence", f"{_proof(attempt)}; {_place(tree, attempt)}", logs)


def _proof(attempt: Attempt) -> str:
    if attempt.outcome is not None:
        return "its whole outcome says so"
    return f"it left no whole outcome, and {_end_in_words(attempt.ending)}"


def _end_in_words(ending: Ending | None) -> str:
    if ending is None:
        return "how its job ended is not known"
    if ending.gone:
        return "its job or node was lost"
    if ending.stop:
        return f"its job was stopped ({_STOPS[ending.stop]})"
    if ending.oom_killed:
        return "the cluster saw it killed for its memory"
    if ending.signal:
        return f"its process was ended by signal {ending.signal}"
    if ending.exit_code is not None:
        return f"its process ended with exit code {ending.exit_code}"
    return f"the cluster says: {ending.detail or 'nothing'}"


_STOPS = {
    StopReason.ASKED: "on request",
    StopReason.TIME_LIMIT: "its time was up",
    StopReason.DRAINED: "its node was drained",
}


def _place(tree: Tree, attempt: Attempt) -> str:
    """The line of the logs that explains a failure, else the folder."""
    with suppress(OSError):
        found = explain(tree, [ItemReport(attempt.item, Standing.FAILED, 1, attempt)], our_rules())
        if attempt.kind is not None and found:
            line = f":{found[0].line}" if found[0].line else ""
            return f"see {tree.base / found[0].file}{line}"
    return f"see {attempt.folder}"
