"""What comes home of a dispatch is shown to people: all words are masked, its numbers stay."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from coordinator.domain.handoff import Failure, Handoff, HandoffItem, Outcome
from coordinator.ledger import Attempt, addresses
from coordinator.secrecy import Mask, known
from coordinator.secrecy.sources import in_address, without_secrets


def mask_of(folder: Path, attempts: Iterable[Attempt]) -> Mask:
    """For a dispatch of these: all that is known to be secret, and what signs their addresses.

    `folder`: of the batch's ledger.
    """
    items = (attempt.item for attempt in attempts)
    hrefs = (href for item in items for href in addresses.whole(folder, item).values())
    return known.mask_with(secret for href in hrefs for secret in in_address(href))


def masked(outcome: Outcome, mask: Mask) -> Outcome:
    """The outcome with its words masked. Who it is of was checked before, and stays."""
    facts = {name: _masked_fact(value, mask) for name, value in outcome.facts.items()}
    changed = {
        "message": mask.text(outcome.message),
        "failure": outcome.failure and _masked_failure(outcome.failure, mask),
        "facts": facts,
    }
    return outcome.model_copy(update=changed)


def bare(handoff: Handoff) -> Handoff:
    """A handoff that was worked off, without what was secret of its addresses."""
    return handoff.model_copy(update={"items": tuple(map(_bare_item, handoff.items))})


def _bare_item(item: HandoffItem) -> HandoffItem:
    inputs = {
        name: ref.model_copy(update={"href": without_secrets(ref.href)})
        for name, ref in item.inputs.items()
    }
    return item.model_copy(update={"inputs": inputs})


def _masked_failure(failure: Failure, mask: Mask) -> Failure:
    message, trace = mask.text(failure.message), mask.text(failure.traceback)
    return failure.model_copy(update={"message": message, "traceback": trace})


def _masked_fact(value: Any, mask: Mask) -> Any:
    """A fact with all words in it masked, however deep they lie."""
    match value:
        case str():
            return mask.text(value)
        case list():
            return [_masked_fact(part, mask) for part in value]
        case dict():
            return {mask.text(name): _masked_fact(part, mask) for name, part in value.items()}
    return value
