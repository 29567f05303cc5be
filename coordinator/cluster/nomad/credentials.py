"""Keys for the jobs of one batch, in Nomad Variables that only these jobs may read."""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.cluster.nomad.api import NomadApi, NomadRefusal
from coordinator.cluster.nomad.parents import Parent
from coordinator.secrecy import Secret

ITEM = "aws"  # as the templates of the job files read it


@dataclass(frozen=True)
class JobKeys:
    """The variable `nomad/jobs/<parent>` of each parent of a batch.

    Raises, in every method, what NomadApi raises; no message holds what a variable holds.
    """

    api: NomadApi
    parents: Sequence[Parent]

    def put(self, file: Secret) -> None:
        """Keep the text of an AWS credentials file for the jobs; repeatable."""
        for parent in self.parents:
            path = self._path(parent)
            body = {"Path": path, "Namespace": parent.namespace, "Items": {ITEM: file.reveal()}}
            self.api.put("var", path, json=body, **parent.where)

    def remove(self) -> None:
        """Take the keys away; repeatable. What runs keeps what it has read."""
        for parent in self.parents:
            try:
                self.api.delete("var", self._path(parent), **parent.where)
            except NomadRefusal as error:
                if error.status != 404:
                    raise

    def _path(self, parent: Parent) -> str:
        return f"nomad/jobs/{parent.id}"
