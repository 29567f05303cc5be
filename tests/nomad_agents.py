"""Real Nomad agents that tests talk to. The first build of the binary takes minutes."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from agents import Cluster, Options, agent_with_acl, cluster_of_three, dev_agent

from tests.support import REPOSITORY, require_cluster_program

SHIPPED_POLICY = (REPOSITORY / "job_defs/coordinator-policy.hcl").read_text()
PURGE_SECONDS = 60.0
PURGES_AT_A_TIME = 8


@pytest.fixture(scope="session")
def nomad_agent() -> Iterator[Cluster]:
    """One agent for the whole run, with room for hundreds of jobs. Do not restart it.

    What a test registers, it registers in its own `nomad_namespace`.
    """
    with dev_agent(require_cluster_program("nomad")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def nomad_cluster_of_three() -> Iterator[Cluster]:
    """One server and three clients for a module's tests, to be killed and started again."""
    with cluster_of_three(require_cluster_program("nomad")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def nomad_with_acl() -> Iterator[Cluster]:
    """One agent with ACLs on, and its management token."""
    with agent_with_acl(require_cluster_program("nomad")) as cluster:
        yield cluster


def token_of(cluster: Cluster, rules: str = SHIPPED_POLICY) -> str:
    """The secret of a new token that may do what the rules say, and nothing else."""
    name = f"policy-{uuid.uuid4().hex[:8]}"
    cluster.call("PUT", f"acl/policy/{name}", json={"Name": name, "Rules": rules})
    body = {"Name": name, "Type": "client", "Policies": [name]}
    return str(cluster.call("PUT", "acl/token", json=body)["SecretID"])


StartAgent = Callable[[Options], Cluster]


@pytest.fixture
def start_nomad() -> Iterator[StartAgent]:
    """Starts an agent of a test's own, of any size, to be killed and started again."""
    with ExitStack() as stack:
        yield lambda options: stack.enter_context(
            dev_agent(require_cluster_program("nomad"), options)
        )


@pytest.fixture
def nomad_namespace(nomad_agent: Cluster) -> Iterator[str]:
    """A namespace of the session's agent that is this test's alone; its jobs go at the end."""
    with fresh_namespace(nomad_agent) as name:
        yield name


@contextmanager
def fresh_namespace(cluster: Cluster) -> Iterator[str]:
    """The name of a new namespace, which goes with all its jobs."""
    name = new_namespace(cluster)
    yield name
    remove_namespace(cluster, name)


def new_namespace(cluster: Cluster) -> str:
    """The name of a new namespace."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.call("PUT", f"namespace/{name}", json={"Name": name})
    return name


def remove_namespace(cluster: Cluster, name: str) -> None:
    """Purge all jobs of a namespace, and then it."""

    def is_gone() -> bool:
        jobs = cluster.call("GET", "jobs", params=here)
        with ThreadPoolExecutor(PURGES_AT_A_TIME) as pool:
            list(pool.map(purge, [job["ID"] for job in jobs]))
        for variable in cluster.call("GET", "vars", params=here):
            cluster.call("DELETE", f"var/{variable['Path']}", params=here)
        cluster.call("DELETE", f"namespace/{name}")  # refused while an allocation runs
        return True

    def purge(job: str) -> None:
        cluster.call("DELETE", f"job/{job}", params={**here, "purge": "true"})

    here = {"namespace": name}
    cluster.wait_for(is_gone, f"namespace {name} to be gone", PURGE_SECONDS)
