"""A cluster to try things on: a Nomad agent and an S3 server, until Ctrl-C. See `make cluster`."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from agents import Cluster, dev_agent, free_port
from botocore.config import Config
from keeper import MARK
from programs import program

HERE = Path(__file__).resolve().parent
BUCKET = "coordinator"
KEYS = {"AWS_ACCESS_KEY_ID": "local-key", "AWS_SECRET_ACCESS_KEY": "local-secret"}
PATIENT = Config(retries={"max_attempts": 10, "mode": "standard"})

MESSAGE = """
A Nomad cluster of one node and an S3 server with the bucket {bucket} are up. In another shell:

unset AWS_PROFILE AWS_SESSION_TOKEN
{exports}

Ctrl-C here ends both, and removes all.
"""


def main() -> None:
    """Start both, say how to reach them, and wait for SIGINT or SIGTERM."""
    stop = threading.Event()
    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, lambda *_: stop.set())
    with dev_agent(program("nomad")) as cluster, s3_server(cluster) as environment:
        told = {**cluster.environment, **environment}
        exports = "\n".join(f"export {name}={value}" for name, value in told.items())
        print(MESSAGE.format(bucket=BUCKET, exports=exports), flush=True)
        stop.wait()
        print("Ending ...", flush=True)


@contextmanager
def s3_server(cluster: Cluster) -> Iterator[dict[str, str]]:
    """What a client needs in its environment to reach a new server with an empty bucket.

    Its data lies in the cluster's folder, and goes with it.
    """
    folder = cluster.folder / "s3"
    folder.mkdir()
    address = f"127.0.0.1:{free_port()}"
    keys = ["--access", KEYS["AWS_ACCESS_KEY_ID"], "--secret", KEYS["AWS_SECRET_ACCESS_KEY"]]
    with subprocess.Popen(
        [program("versitygw"), *keys, "--port", address, "--quiet", "posix", folder],
        env={**os.environ, MARK: str(folder)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is not for it
    ) as server:
        try:
            environment = {**KEYS, "AWS_ENDPOINT_URL": f"http://{address}"}
            environment["AWS_DEFAULT_REGION"] = environment["AWS_REGION"] = "us-east-1"
            make_bucket(environment)
            yield environment
        finally:
            server.kill()


def make_bucket(environment: dict[str, str]) -> None:
    """Wait for the server, and make the bucket; nothing of the user's own is asked or used."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    os.environ.update(environment | nowhere)
    boto3.client("s3", config=PATIENT).create_bucket(Bucket=BUCKET)


if __name__ == "__main__":
    main()
