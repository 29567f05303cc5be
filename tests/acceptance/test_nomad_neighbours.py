"""A cluster that others use too: what is not the batch's is never counted, stopped or purged."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agents import Cluster

from tests.acceptance.batches import Workplace, ended, running, wait_until
from tests.acceptance.on_nomad import Nomad, NomadBatch, NomadWorkplace, assert_whole_on_nomad

pytestmark = [pytest.mark.needs_data, pytest.mark.needs_nomad, pytest.mark.timeout(600)]

LANGUAGES = ("deu", "fra", "spa")
# Were one of the foreign jobs counted, nothing would ever be sent.
TUNING = ("--slots", 3, "--stop_threshold", 3, "--resume_threshold", 1)
# What a count by words would take for ours, and what begins like the batch's own jobs.
FOREIGN = ("inference-other", "near--translate-other", "near--other")


@pytest.fixture
def nomad(nomad_agent: Cluster, nomad_namespace: str) -> Nomad:
    return Nomad(nomad_agent, nomad_namespace)


def workplace(folder: Path, nomad: Nomad, seconds: float) -> NomadWorkplace:
    made = Workplace.made(folder, LANGUAGES, 10, pack=1, score_pack=2, seconds=seconds)
    return NomadWorkplace.on(nomad, made)


def test_neighbours_are_left_alone(
    nomad: Nomad, tmp_path: Path, say: Callable[[str], None]
) -> None:
    foreign = [*(sleeper(nomad, name) for name in FOREIGN), child_of(nomad, "near--translate-too")]
    place = workplace(tmp_path / "work", nomad, 0.5)
    near = replace(place, flags=()).batch("near")
    beside = place.batch("near-2")
    with running(start(beside)) as second:
        wait_until(lambda: beside.exists and beside.count("dispatches WHERE state = 'running'") > 0)
        with running(start(near)) as first:
            wait_until(lambda: near.exists and near.count("dispatches WHERE state = 'running'") > 0)
            done = ended(first)
        assert done.returncode == 0, done.stderr
        purged = near.place.run("purge", "near")
        assert purged.returncode == 0, purged.stderr
        others = ended(second)
    assert others.returncode == 0, others.stderr
    assert_whole_on_nomad(beside)
    assert near.count("items WHERE state = 'succeeded'") == len(near.items) == 6
    assert {d["job_id"].partition("/")[0] for d in near.rows("SELECT job_id FROM dispatches")} == {
        "near--translate",
        "near--score",
    }
    assert_run_on(nomad, foreign)
    left = [job["ID"] for job in nomad.jobs() if job["ID"].startswith("near--")]
    assert sorted(left) == sorted(j for j in [*foreign, "near--translate-too"] if "near--" in j)
    say(
        f"\nbeside {len(foreign)} foreign jobs and batch near-2 ({len(beside.job_ids())} jobs):"
        f" near purged its own {near.count('dispatches')} jobs and parents, and nothing else"
    )


def start(batch: NomadBatch) -> Any:
    return batch.place.start("submit", *batch.place.submit_flags(batch.name, *TUNING))


def sleeper(nomad: Nomad, name: str, **more: object) -> str:
    """A job of somebody else's that runs for long; its ID."""
    task = {"Name": "inference", "Driver": "raw_exec", "Resources": {"CPU": 10, "MemoryMB": 10}}
    task["Config"] = {"command": "/bin/sleep", "args": ["600"]}
    group = {"Name": "inference", "Count": 1, "Tasks": [task]}
    job = {"ID": name, "Name": name, "Type": "batch", "Datacenters": ["*"], "TaskGroups": [group]}
    job |= {"Namespace": nomad.namespace, **more}
    query = {"namespace": nomad.namespace}
    nomad.agents.call("PUT", "jobs", params=query, json={"Job": job})
    return name


def child_of(nomad: Nomad, parent: str) -> str:
    """A dispatched job of a parent of somebody else's."""
    sleeper(nomad, parent, ParameterizedJob={})
    query = {"namespace": nomad.namespace}
    made = nomad.agents.call("POST", f"job/{parent}/dispatch", params=query, json={})
    return str(made["DispatchedJobID"])


def assert_run_on(nomad: Nomad, jobs: list[str]) -> None:
    for job in jobs:
        allocations = nomad.call(f"job/{job}/allocations")
        assert [a["ClientStatus"] for a in allocations] == ["running"], job
        assert [a["DesiredStatus"] for a in allocations] == ["run"], job


def test_a_second_driver_and_a_second_batch_of_the_name_are_refused(
    nomad: Nomad, tmp_path: Path, say: Callable[[str], None]
) -> None:
    place = workplace(tmp_path / "work", nomad, 1.0)
    batch, elsewhere = place.batch("one"), another_users(place, tmp_path / "other")
    with running(start(batch)) as process:
        wait_until(lambda: batch.exists and batch.count("dispatches WHERE state = 'running'") > 0)
        began = time.monotonic()
        again = place.resume("one")
        assert_refused(again, 2, ["being driven already"])
        same_name = ended(start(elsewhere.batch("one")))
        assert_refused(same_name, 2, ["jobs of another batch one are on the cluster", "uid"])
        assert not elsewhere.batch("one").exists
        seconds = time.monotonic() - began
        assert process.poll() is None
        done = ended(process)
    assert done.returncode == 0, done.stderr
    assert_whole_on_nomad(batch)
    assert place.witnessed() == dict.fromkeys(batch.directions().values(), 1)
    say(f"\na second driver and a second batch of the name: both refused, in {seconds:.1f} s")


def another_users(place: NomadWorkplace, folder: Path) -> NomadWorkplace:
    """The same inputs, with a state folder and outputs of their own."""
    shutil.copytree(place.folder, folder, ignore=shutil.ignore_patterns("state", "outputs", "loc*"))
    return replace(place, folder=folder)


def assert_refused(done: Any, code: int, words: list[str]) -> None:
    assert done.returncode == code, done.stderr
    for word in [*words, "try"]:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
