"""Secrets: what is one, a type that never prints itself, and a mask for what others print."""

from coordinator.secrecy.known import Known, known
from coordinator.secrecy.mask import MARK, NO_MASK, Mask, MaskedStream
from coordinator.secrecy.secret import NO_SECRET, Secret

__all__ = ["MARK", "NO_MASK", "NO_SECRET", "Known", "Mask", "MaskedStream", "Secret", "known"]
