"""Ninety directions through Nomad, inputs and outputs on S3: scores as on the local executor.

Thirty of them in containers: each takes seconds to start, whatever it does then.
"""

import time
from collections.abc import Callable

import pytest
from agents import Cluster, Options, dev_agent

from tests.acceptance.batches import LANGUAGES, Workplace
from tests.acceptance.on_nomad import (
    Nomad,
    NomadBatch,
    NomadWorkplace,
    assert_whole_on_nomad,
    uploaded,
    with_keys,
)
from tests.docker_engine import Engine
from tests.servers import S3Server
from tests.support import require_cluster_program

pytestmark = [
    pytest.mark.needs_data,
    pytest.mark.needs_nomad,
    pytest.mark.needs_s3,
    pytest.mark.timeout(900),
]

IN_CONTAINERS = 30  # directions
TUNING = ("--slots", 2, "--stop_threshold", 90, "--resume_threshold", 45)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("ninety") / "work"
    return Workplace.made(folder, LANGUAGES, 50, pack=23, score_pack=45)


@pytest.fixture(scope="module")
def scores(place: Workplace) -> dict[str, bytes]:
    """What the local executor finds."""
    done = place.run("submit", *place.submit_flags("local", *TUNING))
    assert done.returncode == 0, done.stderr
    return place.batch("local").scores()


def test_ninety_directions_score_as_on_the_local_executor(
    place: Workplace,
    scores: dict[str, bytes],
    nomad_agent: Cluster,
    nomad_namespace: str,
    s3_server: S3Server,
    s3_bucket: str,
    say: Callable[[str], None],
) -> None:
    there = NomadWorkplace.on(Nomad(nomad_agent, nomad_namespace), place, with_keys(s3_server))
    batch = run(uploaded(there, s3_bucket), "nomad", 90, say)
    assert batch.scores() == scores
    assert len(set(scores.values())) == 90


@pytest.mark.needs_docker
def test_thirty_directions_in_containers(
    place: Workplace,
    scores: dict[str, bytes],
    docker_engine: Engine,
    worker_image: str,
    s3_server: S3Server,
    s3_bucket: str,
    say: Callable[[str], None],
) -> None:
    place.witness.touch()
    place.witness.chmod(0o666)  # the image's user is not ours
    image = f"{worker_image}:nomad"  # one that is called latest, Nomad would pull
    docker_engine.docker("tag", worker_image, image)
    host = docker_engine.host or "unix:///var/run/docker.sock"
    with dev_agent(require_cluster_program("nomad"), Options(docker_host=host)) as agents:
        there = in_containers(NomadWorkplace.on(Nomad(agents), place, with_keys(s3_server)), image)
        batch = run(uploaded(there, s3_bucket), "docker", IN_CONTAINERS, say)
    assert batch.scores() == {item: scores[item] for item in batch.items}


def in_containers(place: NomadWorkplace, image: str) -> NomadWorkplace:
    """The same in containers of `image`, with the machine's network and the model's folder."""
    variables = (place.folder / "job.vars").read_text().replace("raw_exec", "docker")
    folder = f'volumes = ["{place.folder}:{place.folder}"]'
    (place.folder / "job.vars").write_text(
        f'{variables}image = "{image}"\nnetwork_mode = "host"\n{folder}\n'
    )
    return place


def run(place: NomadWorkplace, name: str, items: int, say: Callable[[str], None]) -> NomadBatch:
    """A batch of so many items at its end, each of its items worked on once."""
    before, began = place.witnessed(), time.monotonic()
    (place.folder / "some.txt").write_text("\n".join(place.batch("local").items[:items]))
    done = place.run("submit", *place.submit_flags(name, *TUNING, "--item_list", "some.txt"))
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert f"{name}  {items} items  =  {items} succeeded" in done.stdout
    batch = place.batch(name)
    assert len(batch.items) == items
    assert_whole_on_nomad(batch)
    assert place.witnessed() - before == dict.fromkeys(batch.directions().values(), 1)
    assert not (place.folder / "outputs" / name).exists()
    jobs, objects = len(batch.job_ids()), len(batch.keys())
    say(
        f"\n{name}: {items} items in {jobs} jobs on Nomad, {objects} objects on S3, {seconds:.1f} s"
    )
    return batch
