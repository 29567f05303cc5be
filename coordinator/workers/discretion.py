"""A worker tells nobody its secrets: neither in its log nor in the outcomes that it leaves."""

import os

from coordinator.domain.handoff import Handoff
from coordinator.secrecy import known
from coordinator.secrecy.sources import in_address, in_environment, in_files


def learn_own() -> None:
    """What its environment and its files hold by now: keys are renewed while it runs."""
    known.learn(in_environment(os.environ) | in_files(os.environ))


def learn_addresses(handoff: Handoff) -> None:
    """What signs the addresses of its inputs."""
    refs = (ref for item in handoff.items for ref in item.inputs.values())
    known.learn(secret for ref in refs for secret in in_address(ref.href))


def told(text: str) -> str:
    """`text` as others may read it."""
    return known.mask.text(text)
