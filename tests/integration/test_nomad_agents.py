"""The agents of `local-cluster` do what the tests that use them rely on."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from agents import Cluster, Options, dev_agent
from keeper import marked

from tests.docker_engine import Engine, base_image
from tests.nomad_agents import StartAgent
from tests.servers import wait_for
from tests.support import REPOSITORY, require_cluster_program

# The first build of the binary takes minutes.
pytestmark = [pytest.mark.needs_nomad, pytest.mark.timeout(900)]


def test_an_agent_runs_a_program_to_its_end(nomad_agent: Cluster, nomad_namespace: str) -> None:
    register(nomad_agent, job("hello", "echo", "hello", namespace=nomad_namespace))
    allocation = ended(nomad_agent, "hello", nomad_namespace)
    assert allocation["ClientStatus"] == "complete"
    assert log_of(nomad_agent, allocation) == "hello\n"


def test_room_for_two_means_two_at_a_time(start_nomad: StartAgent) -> None:
    cluster = start_nomad(Options(memory_total_mb=1_000))
    for name in ("one", "two", "three"):
        register(cluster, job(name, "sleep", "600", memory=500))
    cluster.wait_for(lambda: running(cluster) == 2, "two jobs to run", 30)
    cluster.wait_for(lambda: is_blocked(cluster), "the third to wait", 30)
    assert running(cluster) == 2


def test_jobs_outlive_killed_agents(start_nomad: StartAgent) -> None:
    cluster = start_nomad(Options())
    register(cluster, job("before", "true"))
    ended(cluster, "before")
    register(cluster, job("during", "sleep", "600"))
    cluster.wait_for(lambda: running(cluster) == 1, "the job to run", 30)
    for agent in cluster.agents:
        agent.kill()
    for agent in cluster.agents:
        agent.start()
    cluster.wait_until_ready()
    assert allocations(cluster, "before")[-1]["ClientStatus"] == "complete"
    (allocation,) = allocations(cluster, "during")
    events = [event["Type"] for event in allocation["TaskStates"]["main"]["Events"]]
    assert allocation["ClientStatus"] == "running"
    assert events.count("Started") == 1


def test_a_lost_machine_is_seen_and_comes_back(nomad_cluster_of_three: Cluster) -> None:
    cluster = nomad_cluster_of_three
    assert [node["Status"] for node in cluster.nodes().values()] == ["ready"] * 3
    victim = cluster.clients[1]
    began = time.monotonic()
    victim.lose()
    cluster.wait_for(lambda: cluster.nodes()[victim.name]["Status"] == "down", "its loss", 15)
    print(f"a lost node is down after {time.monotonic() - began:.1f} s")
    victim.start()
    cluster.wait_until_ready()
    assert len(cluster.nodes()) == 3


def test_acls_refuse_whoever_has_no_token(nomad_with_acl: Cluster) -> None:
    assert nomad_with_acl.environment["NOMAD_TOKEN"] == nomad_with_acl.token
    assert nomad_with_acl.call("GET", "jobs") == []
    with pytest.raises(requests.HTTPError, match="403 Permission denied"):
        replace(nomad_with_acl, token="").call("GET", "jobs")


HOLDER = """
import signal, sys, time
from agents import dev_agent
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, if the tests run in background
with dev_agent(sys.argv[1]) as cluster:
    task = {"Name": "main", "Driver": "raw_exec", "Config": {"command": "sleep", "args": ["600"]}}
    job = {"ID": "sleeper", "Type": "batch", "Datacenters": ["*"],
           "TaskGroups": [{"Name": "main", "Tasks": [task]}]}
    cluster.call("POST", "jobs", json={"Job": job})
    ask = lambda: cluster.call("GET", "job/sleeper/allocations")
    cluster.wait_for(lambda: ask()[0]["ClientStatus"] == "running" if ask() else False, "it")
    print(cluster.folder, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_nothing_stays_behind(way: signal.Signals) -> None:
    command = [sys.executable, "-c", HOLDER, require_cluster_program("nomad")]
    with subprocess.Popen(
        command, cwd=REPOSITORY / "local-cluster", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().decode().strip())
        names = sorted(process.name() for process in marked(folder))
        assert names.count("nomad") >= 3 and "sleep" in names, names  # two agents, an executor
        if os.geteuid() == 0:
            assert str(folder) in Path("/proc/self/mounts").read_text()
        holder.send_signal(way)
        holder.wait(timeout=30)
    wait_for(lambda: not folder.exists())
    assert marked(folder) == []
    assert str(folder) not in Path("/proc/self/mounts").read_text()


@pytest.mark.needs_docker
def test_containers_run_and_go_with_their_agent(docker_engine: Engine) -> None:
    image = base_image(docker_engine)
    host = docker_engine.host or "unix:///var/run/docker.sock"
    with dev_agent(require_cluster_program("nomad"), Options(docker_host=host)) as cluster:
        for name, command in (("short", ["true"]), ("long", ["sleep", "600"])):
            spec = job(name, *command, memory=50)
            task = spec["TaskGroups"][0]["Tasks"][0]
            task["Driver"] = "docker"
            task["Config"] |= {"image": image, "network_mode": "host", "force_pull": False}
            register(cluster, spec)
        assert ended(cluster, "short")["ClientStatus"] == "complete"
        cluster.wait_for(lambda: running(cluster) == 1, "the container to run", 30)
        (allocation,) = allocations(cluster, "long")
        mine = f"label=com.hashicorp.nomad.alloc_id={allocation['ID']}"
        assert docker_engine.docker("ps", "--quiet", "--filter", mine).stdout
    assert not docker_engine.docker("ps", "--all", "--quiet", "--filter", mine).stdout


def test_make_cluster_says_how_to_reach_it() -> None:
    require_cluster_program("nomad")
    require_cluster_program("versitygw")
    up = REPOSITORY / "local-cluster" / "up.py"
    with subprocess.Popen([sys.executable, up], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = itertools.takewhile(lambda line: "Ctrl-C" not in line, process.stdout)
            exports = [line.removeprefix("export ").strip() for line in lines if "=" in line]
            told = dict(export.split("=", 1) for export in exports)
            nodes = requests.get(f"{told['NOMAD_ADDR']}/v1/nodes", timeout=10).json()
            refused = requests.get(f"{told['AWS_ENDPOINT_URL']}/coordinator", timeout=10)
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    assert [node["Status"] for node in nodes] == ["ready"]
    assert refused.status_code == 403  # it is there, and asks for keys
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"} < told.keys()


def is_blocked(cluster: Cluster) -> bool:
    return any(found["Status"] == "blocked" for found in cluster.call("GET", "evaluations"))


def running(cluster: Cluster) -> int:
    listed = cluster.call("GET", "allocations")
    return [allocation["ClientStatus"] for allocation in listed].count("running")


def register(cluster: Cluster, job: Mapping[str, Any]) -> None:
    cluster.call("POST", "jobs", json={"Job": job})


def job(name: str, *command: str, namespace: str = "default", memory: int = 10) -> dict[str, Any]:
    task = {
        "Name": "main",
        "Driver": "raw_exec",
        "Config": {"command": command[0], "args": list(command[1:])},
        "Resources": {"CPU": 10, "MemoryMB": memory},
    }
    once = {"Attempts": 0, "Mode": "fail"}
    group = {"Name": "main", "Tasks": [task], "RestartPolicy": once}
    group["ReschedulePolicy"] = {"Attempts": 0, "Unlimited": False}
    return {
        "ID": name,
        "Type": "batch",
        "Namespace": namespace,
        "Datacenters": ["*"],
        "TaskGroups": [group],
    }


def allocations(cluster: Cluster, name: str, namespace: str = "default") -> list[dict[str, Any]]:
    """The newest last."""
    path = f"job/{name}/allocations"
    listed = cluster.call("GET", path, params={"namespace": namespace})
    return sorted(listed, key=lambda allocation: allocation["CreateIndex"])


def ended(cluster: Cluster, name: str, namespace: str = "default") -> dict[str, Any]:
    def has_ended() -> bool:
        found = allocations(cluster, name, namespace)
        return bool(found) and found[-1]["ClientStatus"] in ("complete", "failed")

    cluster.wait_for(has_ended, f"{name} to end", 30)
    return allocations(cluster, name, namespace)[-1]


def log_of(cluster: Cluster, allocation: dict[str, Any]) -> str:
    query = {"task": "main", "type": "stdout", "plain": "true", "origin": "start"}
    query["namespace"] = allocation["Namespace"]
    url = f"{cluster.address}/v1/client/fs/logs/{allocation['ID']}"
    answer = requests.get(url, params=query, timeout=10)
    assert answer.ok, answer.text
    return answer.text
