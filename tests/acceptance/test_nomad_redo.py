"""A batch on Nomad is scored again, on the host that ran it and on another."""

import pytest
from agents import Cluster

from tests.acceptance.batches import Workplace, assert_one_job_a_token, ended
from tests.acceptance.on_nomad import Nomad, NomadWorkplace
from tests.acceptance.test_nomad_moves import TUNING, Host

pytestmark = [pytest.mark.needs_data, pytest.mark.needs_nomad, pytest.mark.timeout(600)]

LANGUAGES = ("deu", "eng-US", "fra")
DIRECTIONS = 6


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace.made(tmp_path_factory.mktemp("redo") / "work", LANGUAGES, 10)


def test_scored_again_on_nomad_as_on_the_local_executor(
    place: Workplace, nomad_agent: Cluster, nomad_namespace: str
) -> None:
    rescore = ("rescore", "mine", "--metrics", "ter,chrf")
    near = place.run("submit", *place.submit_flags("near", "--slots", 2))
    again = place.run("rescore", "near", *rescore[2:])
    assert (near.returncode, again.returncode) == (0, 0), near.stderr + again.stderr
    there = NomadWorkplace.on(Nomad(nomad_agent, nomad_namespace), place)
    one, two = Host.named("one", there), Host.named("two", there)
    assert ended(one.start("submit", *one.submit_flags("mine", *TUNING))).returncode == 0
    calls, jobs = place.witnessed(), set(one.batch("mine").job_ids())

    on_one = ended(one.start(*rescore))
    assert on_one.returncode == 0, on_one.stderr
    assert one.batch("mine").scores() == place.batch("near").scores()

    assert ended(two.resumed("mine")).returncode == 0  # fetches the ledger
    on_two = ended(two.start("rescore", "mine"))
    assert on_two.returncode == 0, on_two.stderr
    late = ended(one.start("rescore", "mine"))
    assert late.returncode != 0 and "has gone on from another host" in late.stderr

    batch = two.batch("mine")
    assert batch.scores() == place.batch("near").scores()
    assert place.witnessed() == calls, "no model was asked for anything"
    new = set(batch.job_ids()) - jobs
    assert new and all(job.startswith("mine--score") for job in new)
    assert batch.count("attempts WHERE step = 1 AND state = 'succeeded'") == 3 * DIRECTIONS
    assert_one_job_a_token(batch)
