"""The model of a batch, checked before anything is dispatched."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from coordinator.domain.model_folder import check_model
from coordinator.errors import CredentialsError, ModelError, StorageError
from coordinator.storage import SKETCHED_BYTES, folder_address, is_remote, sketched_folder


@dataclass(frozen=True)
class Model:
    """Where a model lies, and what it is; "" = the pipeline needs none."""

    folder: str
    kind: str


def checked_model(location: str) -> Model:
    """The model in a folder, here or in a bucket. Raises UsageError: it cannot be used."""
    address = folder_address(location)
    try:
        real = SKETCHED_BYTES if is_remote(address) else None
        with sketched_folder(address) as folder, _called(address, folder):
            return Model(address, check_model(folder, real))
    except (StorageError, CredentialsError) as error:
        raise ModelError(
            f"the model {address} cannot be read", why=str(error), hint=error.hint
        ) from error


@contextmanager
def _called(address: str, folder: Path) -> Iterator[None]:
    """Faults of a folder's copy, told by its real address."""

    def real(text: str) -> str:
        return text.replace(str(folder), address)

    try:
        yield
    except ModelError as error:
        problems = [replace(p, where=real(p.where), reason=real(p.reason)) for p in error.problems]
        raise ModelError(
            real(error.what), why=real(error.why), hint=error.hint, problems=problems
        ) from error
