"""The agents of `local-cluster` do what the tests that use them rely on."""

from collections.abc import Mapping
from typing import Any

import pytest
import requests
from agents import Cluster

# The first build of the binary takes minutes.
pytestmark = [pytest.mark.needs_nomad, pytest.mark.timeout(900)]


def test_an_agent_runs_a_program_to_its_end(nomad_agent: Cluster, nomad_namespace: str) -> None:
    register(nomad_agent, job("hello", "echo", "hello", namespace=nomad_namespace))
    allocation = ended(nomad_agent, "hello", nomad_namespace)
    assert allocation["ClientStatus"] == "complete"
    assert log_of(nomad_agent, allocation) == "hello\n"


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
