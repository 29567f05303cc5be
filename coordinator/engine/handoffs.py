"""The handoff of a dispatch, made from the ledger alone, so that it can be made again."""

from collections.abc import Mapping, Sequence

from coordinator.domain.handoff import Handoff, HandoffItem, InputRef, Sent
from coordinator.domain.limits import SPLIT
from coordinator.engine.batch import Batch
from coordinator.ledger import Attempt, Dispatch, Ledger, addresses


def handoff_of(
    batch: Batch, ledger: Ledger, dispatch: Dispatch, pack: Sequence[Attempt], output_root: str
) -> Handoff:
    """What the worker of `dispatch`, which carries the attempts of `pack`, has to do."""
    step = batch.step(dispatch)
    items = (_item(batch, ledger, attempt) for attempt in pack)
    return Handoff(
        batch=batch.name,
        dispatch=dispatch.name,
        step=step.name,
        job=step.job,
        output_root=output_root,
        model=batch.model if step.job == "inference" else "",
        manifest=batch.manifest if step.job == "inference" else None,
        trust_model_code=batch.trust_model_code,
        options=step.options,
        outputs=step.outputs,
        reach=batch.reach,
        monitoring_interval=batch.monitoring_interval,
        items=tuple(items),
        sent=Sent(number=dispatch.id, token=dispatch.token, memory_step=dispatch.memory_step),
        limited=str(batch.limits),
    )


def _item(batch: Batch, ledger: Ledger, attempt: Attempt) -> HandoffItem:
    step = batch.pipeline.steps[attempt.step]
    needs_winners = any(not ref.startswith("asset/") for ref in step.inputs.values())
    winners = ledger.winners(attempt) if needs_winners else {}
    hrefs = addresses.whole(ledger.path.parent, attempt.item)
    inputs = {
        name: _input(batch, attempt, hrefs, winners, ref) for name, ref in step.inputs.items()
    }
    return HandoffItem(
        item=attempt.item.id,
        attempt=attempt.number,
        properties=dict(attempt.item.properties),
        inputs=inputs,
    )


def _input(
    batch: Batch,
    attempt: Attempt,
    hrefs: Mapping[str, str],
    winners: dict[int, tuple[int, dict[str, str]]],
    reference: str,
) -> InputRef:
    origin, _, name = reference.partition("/")
    if origin == "asset":
        return InputRef(href=hrefs[name], lines=_lines(batch, attempt, name))
    number, hashes = winners[batch.step_names.index(origin)]
    keys = batch.keys.attempt(attempt.item.id, origin, number)
    return InputRef(key=keys.file(name), sha256=hashes.get(name, ""))


def _lines(batch: Batch, attempt: Attempt, asset: str) -> int:
    """How much of an asset is worked on: texts that belong together are cut alike. 0 = all."""
    if asset not in batch.pipeline.texts:
        return 0
    return batch.limits.sentences_of(attempt.item.properties.get(SPLIT))
