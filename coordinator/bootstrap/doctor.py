"""Assembly of what `coordinator doctor` looks at."""

from coordinator.bootstrap.place import nomad_place
from coordinator.domain.findings import Finding
from coordinator.settings import Settings


def nomad_findings(settings: Settings) -> list[Finding]:
    """What can be said of the Nomad that these settings name."""
    from coordinator.bootstrap.nomad import nomad_api  # slow to import
    from coordinator.cluster.nomad.checkup import check_up

    return check_up(nomad_api(settings, nomad_place(settings)))
