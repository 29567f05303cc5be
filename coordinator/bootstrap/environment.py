"""What the processes of jobs are given in their environment."""

import os
from collections.abc import Mapping

from coordinator.secrecy.sources import NAMES
from coordinator.settings import Settings
from coordinator.storage.aws_keys import KEY_VARIABLES, have_been_handed_in
from coordinator.storage.model_cache import FOLDER, LIMIT

_OF_EVERY_WORKER = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
_PLACES = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


def worker_environment(settings: Settings) -> Mapping[str, str]:
    """The environment of this process and the secrets, less what only the coordinator needs."""
    secrets = {key: value.reveal() for key, value in settings.secrets.items()}
    if have_been_handed_in():
        secrets = {key: value for key, value in secrets.items() if key not in KEY_VARIABLES}
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("COORDINATOR_", "NOMAD_"))
    }
    own = {**_OF_EVERY_WORKER, **_model_cache(settings), NAMES: ",".join(secrets)}
    return {**secrets, **inherited, **own}


def _model_cache(settings: Settings) -> Mapping[str, str]:
    """Where copies of models lie on this machine, and how large they may be together."""
    folder = {FOLDER: str(settings.model_cache.absolute())} if settings.model_cache else {}
    return {**folder, LIMIT: str(settings.model_cache_gb)}


def public_environment() -> Mapping[str, str]:
    """For jobs whose environment others may read: where the objects are, and nothing secret."""
    places = {name: os.environ[name] for name in _PLACES if os.environ.get(name)}
    return {**places, **_OF_EVERY_WORKER}
