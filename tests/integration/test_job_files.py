"""Job files on a real Nomad: they register, refuse what they must, and run the worker."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agents import Cluster

from coordinator.cluster import Resources
from coordinator.cluster.nomad.api import NomadAddress, NomadApi, NomadRefusal
from coordinator.cluster.nomad.hcl import assignments
from coordinator.cluster.nomad.job_files import SourceText, read_source, shipped_job_file
from coordinator.cluster.nomad.parents import Parent, check, register, remove
from coordinator.domain.handoff import Handoff, HandoffItem, parse_outcome
from coordinator.domain.paths import BatchKeys
from coordinator.errors import BadInput, BatchExists
from coordinator.secrecy import Secret
from coordinator.storage import Storage, open_storage
from tests.doc_blocks import blocks
from tests.nomad_agents import token_of
from tests.servers import wait_for
from tests.support import REPOSITORY

# The first build of the binary takes minutes.
pytestmark = [pytest.mark.needs_nomad, pytest.mark.timeout(900)]

KEY = "b/handoff/d.json"
TEST_VARS = read_source(REPOSITORY / "job_defs/test.vars")

FAULTY = """
job "mine" {
  type = "batch"
  datacenters = ["*"]
  periodic {
    crons = ["@daily"]
  }
  parameterized {
    payload       = "required"
    meta_required = ["input"]
  }
  group "work" {
    count = 2
    ephemeral_disk {
      size = 150
    }
    task "main" {
      driver      = "raw_exec"
      kill_signal = "SIGUSR1"
      config {
        command = "/bin/sh"
        args    = ["-c", "python -m coordinator.workers"]
      }
      template {
        data        = "x"
        destination = "local/x"
      }
      resources {
        memory = 20
      }
    }
    task "second" {
      driver = "raw_exec"
      config {
        command = "true"
      }
    }
  }
}
"""
FAULTS = {
    "job.id": "id = var.job_id",
    "job.namespace": "namespace = var.namespace",
    "job.periodic": "no periodic block",
    "parameterized.meta_required": "meta_required",
    "parameterized.payload": 'payload = "forbidden"',
    "job.meta.coordinator_batch": "coordinator_batch = var.batch",
    "job.meta.coordinator_uid": "coordinator_uid = var.uid",
    "job.meta.coordinator_step": "coordinator_step = var.step",
    "job.meta.output_root": "output_root = var.output_root",
    "group.count": "count = 1",
    "group.restart": "restart { attempts = 0",
    "group.reschedule": "reschedule { attempts = 0",
    "group.disconnect": "replace = false",
    "group.ephemeral_disk": "ephemeral_disk { size = 500 }",
    "task": "one task without lifecycle",
    "task.main.restart": "restart { attempts = 0",
    "task.second.restart": "restart { attempts = 0",
    "task.main.template": 'change_mode = "noop"',
    "task.main.kill_signal": 'kill_signal = "SIGTERM"',
    "task.main.config": "exec",
    "task.main.resources.memory": "memory = var.memory_mb",
    "task.main.resources.device": "count = var.gpus",
}


@pytest.fixture
def api(nomad_agent: Cluster, nomad_namespace: str) -> NomadApi:
    return NomadApi(NomadAddress(nomad_agent.address, nomad_namespace))


@pytest.fixture
def parent(api: NomadApi, tmp_path: Path) -> Parent:
    """The parent of a `command` step of the batch `b`."""
    return Parent(
        batch="b",
        uid="uid-1",
        step="s",
        resources=Resources(1, 100, 0),
        output_root=str(tmp_path),
        job_file=read_source(shipped_job_file("command")),
        variables=TEST_VARS,
        namespace=api.address.namespace,
        python=sys.executable,
    )


def with_variables(parent: Parent, **values: Any) -> Parent:
    return replace(parent, variables=SourceText("my.vars", assignments(values)))


# registration


@pytest.mark.parametrize("gpus", [0, 1])
@pytest.mark.parametrize("driver", ["raw_exec", "docker"])
def test_shipped_files_register(api: NomadApi, parent: Parent, driver: str, gpus: int) -> None:
    jobs = ["inference", "scoring", "command"]
    parents = [
        replace(
            with_variables(parent, driver=driver),
            step=job,
            resources=Resources(2, 300, gpus),
            job_file=read_source(shipped_job_file(job)),
            credentials=True,
        )
        for job in jobs
    ]
    assert register(api, parents) == [f"b--{job}" for job in jobs]
    assert register(api, parents) == []
    for job in jobs:
        task = api.get("job", f"b--{job}")["TaskGroups"][0]["Tasks"][0]
        assert task["Driver"] == driver
        assert (task["Resources"]["CPU"], task["Resources"]["MemoryMB"]) == (2000, 300)
        assert [d["Count"] for d in task["Resources"]["Devices"] or []] == [1] * gpus
    assert remove(api, parents) == [f"b--{job}" for job in jobs]
    assert remove(api, parents) == []


def test_what_changed_is_registered_again(api: NomadApi, parent: Parent) -> None:
    larger = replace(parent, resources=Resources(1, 200, 0))
    assert register(api, [parent]) == register(api, [larger]) == ["b--s"]
    assert api.get("job", "b--s")["TaskGroups"][0]["Tasks"][0]["Resources"]["MemoryMB"] == 200


def test_a_stopped_parent_is_registered_again(api: NomadApi, parent: Parent) -> None:
    register(api, [parent])
    api.delete("job", "b--s")
    assert register(api, [parent]) == ["b--s"]


def test_places_may_be_said(api: NomadApi, parent: Parent) -> None:
    placed = replace(parent, region="global", datacenters=("a", "b-*"), node_pool="all")
    register(api, [placed])
    job = api.get("job", "b--s")
    assert (job["Region"], job["Datacenters"], job["NodePool"]) == ("global", ["a", "b-*"], "all")


def test_another_users_parents_are_left_as_they_are(api: NomadApi, parent: Parent) -> None:
    register(api, [parent])
    before = api.get("job", "b--s")
    others = [replace(parent, uid="uid-2", resources=Resources(1, 300, 0), step=s) for s in "st"]
    with pytest.raises(BatchExists) as caught:
        register(api, others)
    assert [str(p) for p in caught.value.problems] == ["job b--s: of batch 'b' with uid 'uid-1'"]
    assert remove(api, others) == []
    assert api.get("job", "b--s") == before
    assert api.get_or_none("job", "b--t") is None


def test_text_means_just_itself(api: NomadApi, parent: Parent) -> None:
    hostile = '"\n}\\ $${x} $$${y} %{ if z } ${attr.kernel.name} \x00\t\u2028 é 日本 😀'
    whole = with_variables(parent, driver="raw_exec", environment={"K": hostile})
    named = replace(whole, output_root=hostile.replace("$", ""))
    (checked,) = check(api, [named])
    assert checked.job["Meta"]["output_root"] == named.output_root
    assert checked.job["TaskGroups"][0]["Tasks"][0]["Env"]["K"] == hostile


def test_a_location_that_nomad_would_change_is_refused(api: NomadApi, parent: Parent) -> None:
    with pytest.raises(BadInput) as caught:
        register(api, [replace(parent, output_root="/x/${node.unique.id}")])
    assert "--output_root" in str(caught.value.problems[0])


def test_all_that_is_wrong_with_variables_is_said(api: NomadApi, parent: Parent) -> None:
    text = 'drivr = "raw_exec"\ncpu = 4\nkill_timeout = []\n'
    with pytest.raises(BadInput) as caught:
        register(api, [replace(parent, variables=SourceText("my.vars", text))])
    said = "\n".join(map(str, caught.value.problems))
    assert "my.vars:1" in said and "did you mean driver?" in said
    assert "my.vars:2" in said and "resources.cpu" in said
    assert "kill_timeout" in said


def test_nomads_own_words_reach_the_user(api: NomadApi, parent: Parent) -> None:
    with pytest.raises(BadInput) as caught:
        register(api, [with_variables(parent, driver="exec", priority=50)])
    assert "The driver is docker or raw_exec." in str(caught.value.problems[0])
    broken = replace(parent, job_file=SourceText("mine.hcl", 'job "x" {'))
    with pytest.raises(BadInput) as caught:
        register(api, [broken])
    assert "mine.hcl" in str(caught.value.problems[0])
    assert api.get("jobs") == []


def test_every_fault_of_a_users_file_is_said_at_once(api: NomadApi, parent: Parent) -> None:
    mine = replace(
        parent,
        job_file=SourceText("mine.hcl", FAULTY),
        variables=SourceText("", ""),
        resources=Resources(1, 100, 1),
    )
    with pytest.raises(BadInput) as caught:
        register(api, [mine])
    fixes = {p.field: "" for p in caught.value.problems}
    for problem in caught.value.problems:
        fixes[problem.field] += problem.fix
    missing = {what: fix for what, fix in FAULTS.items() if fix not in fixes.get(what, "")}
    assert missing == {}
    assert all(p.where == "mine.hcl" for p in caught.value.problems)


def test_a_users_own_file_is_taken(api: NomadApi, parent: Parent) -> None:
    """The shipped one, with a poststop task and names of its own."""
    text = shipped_job_file("command").read_text()
    extra = 'task "after" {\n driver = "raw_exec"\n lifecycle {\n hook = "poststop"\n }\n'
    extra += ' config {\n command = "true"\n }\n logs {\n max_files = 1\n max_file_size = 1\n }\n'
    extra += ' restart {\n attempts = 0\n mode = "fail"\n }\n}\n'
    own = text.replace('task "command" {', extra + 'task "main" {')
    assert register(api, [replace(parent, job_file=SourceText("mine.hcl", own))]) == ["b--s"]


def test_the_guides_example_is_taken(api: NomadApi, parent: Parent) -> None:
    guide = REPOSITORY / "docs/job-sizing-guide.md"
    (example,) = [block for block in blocks(guide) if block.file]
    mine = replace(
        parent,
        job_file=SourceText(example.file, example.text),
        variables=SourceText("", ""),
    )
    assert register(api, [mine]) == ["b--s"]


def test_the_verb_registers_and_says_so(
    api: NomadApi, tmp_path: Path, nomad_namespace: str
) -> None:
    def run(*more: str) -> dict[str, Any]:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "coordinator", "register-jobs", "b.1", "--json"),
                *("--pipeline", str(REPOSITORY / "inputs/pipelines/translate-and-score.yml")),
                *("--job_vars", str(REPOSITORY / "job_defs/local.vars"), *more),
                *("--output_root", str(tmp_path / "out"), "--state_dir", str(tmp_path / "state")),
            ],
            env={**environment, "NOMAD_ADDR": api.address.address},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return {j["id"]: j["changed"] for j in json.loads(done.stdout)["registered"]["jobs"]}

    environment = {**os.environ, "NOMAD_NAMESPACE": nomad_namespace}
    ids = {"b~1--translate", "b~1--translate~m1", "b~1--score", "b~1--score~m1"}
    assert run("--dry-run") == dict.fromkeys(ids, False)
    assert api.get("jobs") == []
    assert run() == dict.fromkeys(ids, True)
    assert {job["ID"] for job in api.get("jobs")} == ids
    assert run() == dict.fromkeys(ids, False)


# running


def test_a_dispatch_runs_the_worker(api: NomadApi, parent: Parent, tmp_path: Path) -> None:
    register(api, [parent])
    storage = put(tmp_path, "echo $1 > $2/left.txt; echo done", ["one", "two"])
    ended = wait_until_ended(api, dispatch(api, parent))
    assert ended["ClientStatus"] == "complete", ended["TaskStates"]
    keys = BatchKeys("b").attempt("two", "s", 1)
    outcome = parse_outcome(storage.read(keys.outcome))
    assert outcome is not None and outcome.status == "succeeded"
    assert storage.read(keys.file("left.txt")) == b"two\n"


def test_sigterm_reaches_the_worker(api: NomadApi, parent: Parent, tmp_path: Path) -> None:
    """The item in hand is finished, no other is begun."""
    register(api, [parent])
    storage = put(tmp_path, "sleep 2", ["one", "two"])
    keys = BatchKeys("b")
    child = dispatch(api, parent)
    wait_for(lambda: storage.size(keys.attempt("one", "s", 1).begun) is not None, seconds=60)
    api.delete("job", child)
    ended = wait_until_ended(api, child)
    assert last_exit_code(ended) in ("75", "-1")  # -1: raw_exec killed its executor too early
    assert storage.size(keys.attempt("one", "s", 1).outcome) is not None
    assert storage.size(keys.attempt("two", "s", 1).begun) is None


def test_keys_come_from_a_variable_of_this_batch(
    api: NomadApi, parent: Parent, tmp_path: Path
) -> None:
    wanted = replace(parent, credentials=True)
    path, text = f"nomad/jobs/{wanted.id}", "[default]\naws_access_key_id = test\n"
    api.put("var", path, json={"Path": path, "Items": {"aws": text}})
    register(api, [wanted])
    storage = put(tmp_path, 'cat "$AWS_SHARED_CREDENTIALS_FILE"', ["one"])
    ended = wait_until_ended(api, dispatch(api, wanted))
    assert ended["ClientStatus"] == "complete", ended["TaskStates"]
    read = storage.read(BatchKeys("b").attempt("one", "s", 1).file("stdout.txt"))
    assert read.decode().strip() == text.strip()
    assert "aws_access_key_id" not in json.dumps(api.get("job", wanted.id))


def test_a_missing_variable_holds_nothing_up(api: NomadApi, parent: Parent, tmp_path: Path) -> None:
    wanted = replace(parent, credentials=True)
    register(api, [wanted])
    put(tmp_path, "true", ["one"])
    ended = wait_until_ended(api, dispatch(api, wanted))
    assert ended["ClientStatus"] == "complete", ended["TaskStates"]


def test_a_lost_nodes_job_goes_on_elsewhere_but_not_at_once(
    nomad_cluster_of_three: Cluster, parent: Parent, tmp_path: Path
) -> None:
    cluster = nomad_cluster_of_three
    api = NomadApi(NomadAddress(cluster.address, "default"))
    wanted = with_variables(parent, driver="raw_exec", lost_after="5s")
    register(api, [replace(wanted, namespace="default")])
    put(tmp_path, "sleep 600", ["one"])
    child = dispatch(api, wanted)
    first = eventually(lambda: with_status(api, child, "running"))
    victim = next(each for each in cluster.clients if each.name == first["NodeName"])
    victim.lose()
    away = eventually(lambda: with_status(api, child, "unknown"))
    assert away["ID"] == first["ID"] and len(api.get("job", child, "allocations")) == 1
    second = eventually(lambda: with_status(api, child, "running"))
    assert second["NodeName"] != first["NodeName"]
    assert with_status(api, child, "lost")
    api.delete("job", child, purge="true")
    victim.start()


@pytest.mark.parametrize("meta", [{}, {"handoff": KEY, "more": "x"}])
def test_a_dispatch_gives_the_handoff_and_nothing_else(
    api: NomadApi, parent: Parent, meta: dict[str, str]
) -> None:
    register(api, [parent])
    with pytest.raises(NomadRefusal, match="meta"):
        api.post("job", parent.id, "dispatch", json={"Meta": meta})


def test_the_shipped_policy_is_enough(
    nomad_with_acl: Cluster, parent: Parent, tmp_path: Path
) -> None:
    token = Secret(token_of(nomad_with_acl))
    api = NomadApi(NomadAddress(nomad_with_acl.address, "default", token=token))
    wanted = replace(parent, namespace="default", credentials=True)
    path = f"nomad/jobs/{wanted.id}"
    api.put("var", path, json={"Path": path, "Items": {"aws": "[default]\n"}})
    register(api, [wanted])
    put(tmp_path, 'test -s "$AWS_SHARED_CREDENTIALS_FILE"', ["one"])
    child = dispatch(api, wanted)
    assert wait_until_ended(api, child)["ClientStatus"] == "complete"
    api.delete("job", child, purge="true")
    api.delete("var", path)
    assert remove(api, [wanted]) == [wanted.id]


def put(root: Path, script: str, items: list[str]) -> Storage:
    """A handoff whose items run a shell script, with the item's id and its folder as arguments."""
    storage = open_storage(str(root))
    handoff = Handoff(
        batch="b",
        dispatch="d",
        step="s",
        job="command",
        output_root=str(root),
        options={"command": ["sh", "-c", script, "sh", "{item}", "{out}"]},
        items=tuple(HandoffItem(item=item, attempt=1) for item in items),
    )
    storage.write(KEY, handoff.model_dump_json().encode())
    return storage


def dispatch(api: NomadApi, parent: Parent) -> str:
    reply = api.post("job", parent.id, "dispatch", json={"Meta": {"handoff": KEY}})
    return str(reply["DispatchedJobID"])


def wait_until_ended(api: NomadApi, child: str) -> dict[str, Any]:
    """The child's allocation, once it has ended."""
    return eventually(lambda: ended_allocation(api, child))


def ended_allocation(api: NomadApi, child: str) -> dict[str, Any] | None:
    for allocation in api.get("job", child, "allocations"):
        if allocation["ClientStatus"] in ("complete", "failed"):
            return dict(allocation)
    return None


def with_status(api: NomadApi, child: str, status: str) -> dict[str, Any] | None:
    """The child's allocation that is in this state, if there is one."""
    found = [a for a in api.get("job", child, "allocations") if a["ClientStatus"] == status]
    return dict(found[0]) if found else None


def eventually(ask: Callable[[], dict[str, Any] | None], seconds: float = 60) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := ask():
            return found
        time.sleep(0.1)
    raise TimeoutError(f"not within {seconds} s")


def last_exit_code(allocation: dict[str, Any]) -> str:
    (state,) = allocation["TaskStates"].values()
    ended = [event for event in state["Events"] if event["Type"] == "Terminated"]
    return str(ended[-1]["Details"]["exit_code"])
