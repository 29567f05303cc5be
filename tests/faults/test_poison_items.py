"""Items that kill whoever works on them, and batches in which all goes wrong alike."""

from pathlib import Path

import pytest
from agents import Cluster

from tests.acceptance.on_nomad import VARIABLES, Nomad
from tests.faults.errands import Errands, NomadErrands, assert_one_job_each, do, kinds, states

pytestmark = pytest.mark.timeout(300)

GOOD = [f"good-{n}" for n in range(6)]
# `$PPID` is the worker; 9 looks like out of memory, 11 like nothing that is known.
POISON = {"poison-9": "out_of_memory", "poison-11": "unknown"}
ATTEMPTS = 2  # of either kind, by default
SAME = 3


def test_poison_items_are_parked_by_name_and_the_rest_of_their_pack_is_done(
    tmp_path: Path,
) -> None:
    items = [GOOD[0], "poison-9", *GOOD[1:4], "poison-11", *GOOD[4:]]
    place = Errands.laid_out(tmp_path / "work", items, pack=len(items))
    do(place, 'case "$1" in poison-*) kill -"${1#poison-}" $PPID; sleep 5;; esac')
    batch = place.batch("b")
    done = place.run("submit", *place.submit_flags("b", "--slots", 1))
    assert done.returncode == 1, done.stderr
    assert states(batch) == dict.fromkeys(GOOD, "succeeded") | dict.fromkeys(POISON, "failed")
    once, tries = dict.fromkeys(GOOD, 1), dict.fromkeys(POISON, ATTEMPTS)
    assert place.witnessed() == once | tries
    assert kinds(batch) == dict.fromkeys(POISON.values(), ATTEMPTS)
    for item, kind in POISON.items():
        assert f"1 x {kind}  e.g. {item}" in done.stdout
    assert_one_job_each(batch)


@pytest.mark.needs_nomad
def test_a_batch_whose_jobs_cannot_even_start_stops_after_a_few(
    nomad_agent: Cluster, nomad_namespace: str, tmp_path: Path
) -> None:
    errands = Errands.laid_out(tmp_path / "work", [f"i{n}" for n in range(20)])
    broken = f'{VARIABLES}python = "/no/such/program"\n'
    place = NomadErrands.of(errands, Nomad(nomad_agent, nomad_namespace), broken)
    batch = place.batch("b")
    flags = place.submit_flags("b", "--slots", 1, "--max-same-failure", SAME)
    done = place.run("submit", *flags)
    assert done.returncode == 3, done.stderr
    assert "dispatches all failed the same way: infrastructure" in done.stdout
    assert "/no/such/program" in done.stdout and "--resume" in done.stdout
    assert len(batch.job_ids()) <= SAME + 2, "three, and those that waited behind them"
    assert batch.count("items WHERE state = 'waiting'") >= 10
    assert place.witnessed() == {}
