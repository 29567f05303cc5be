"""Making the cluster forget dispatches that are home, as the batch goes."""

from collections.abc import Callable, Iterable

import structlog

from coordinator.cluster import Cluster, JobId
from coordinator.errors import ClusterError, ClusterUnavailable
from coordinator.ledger import Dispatch, Ledger

Save = Callable[[], bool]  # whether all that the ledger holds by now is safe


class Purger:
    """Purges what has ended, never before the ledger that says so is safe."""

    def __init__(self, ledger: Ledger, cluster: Cluster, save: Save, *, keep: bool) -> None:
        self._ledger, self._cluster, self._save, self._keep = ledger, cluster, save, keep
        self._waiting = [] if keep else ledger.purgeable(include_running=False)

    def add(self, ended: Iterable[Dispatch]) -> None:
        if not self._keep:
            self._waiting.extend(ended)

    def purge(self) -> None:
        """Purge what waits, if the ledger is safe by now. Repeatable at any point.

        Raises:
            ClusterUnavailable: it is tried again next time.
        """
        if not self._save() or not self._waiting:
            return
        try:
            self._cluster.purge([JobId(d.job_id) for d in self._waiting if d.job_id])
        except ClusterUnavailable:
            raise
        except ClusterError as error:  # a tidier cluster is not worth the end of a batch
            structlog.get_logger().warning("not purged yet", why=str(error))
            return
        self._ledger.mark_purged(self._waiting)
        self._waiting.clear()
