"""Real Nomad agents on this machine: each a process with a folder and ports of its own.

`dev_agent` is one server and one client, `cluster_of_three` one server and three clients,
`three_servers` three of both, and `agent_with_acl` a `dev_agent` that asks for tokens. All keep
their state over a restart.

Server and client are never one process: such a client tries to register before its server has
elected itself, and again only 15 to 30 s later.
"""

import os
import random
import socket
import string
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests
from keeper import MARK, end_marked, kept_folder

HERE = Path(__file__).resolve().parent
READY_SECONDS = 60.0
REQUEST_SECONDS = 15.0
# Neither Nomad gives these to tasks nor the system to outgoing connections: a restarted agent finds
# its own still free.
PORTS = range(10_000, 20_000)


@dataclass(frozen=True)
class Options:
    """What differs from one cluster to the next; times as Nomad writes them."""

    cpu_total_compute: int = 100_000  # MHz, of each client
    memory_total_mb: int = 64_000  # of each client: with jobs of half of it, two run at a time
    max_kill_timeout: str = "30s"
    job_gc_threshold: str = "72h"
    gc_max_allocs: int = 5_000
    event_buffer_size: int = 1_000
    min_heartbeat_ttl: str = "10s"
    heartbeat_grace: str = "10s"
    failover_heartbeat_ttl: str = "30s"
    docker_host: str = ""  # of an engine, as unix:///path; "" leaves it to the driver to find one


SHORT_HEARTBEATS = Options(
    min_heartbeat_ttl="2s", heartbeat_grace="3s", failover_heartbeat_ttl="10s"
)


@dataclass
class Agent:
    """One agent, which can be started, killed and started again on the same folder and ports."""

    binary: str
    folder: Path
    files: tuple[str, ...]  # of agents/*.hcl, without the suffix
    options: Options
    servers: list["Agent"]  # of its cluster
    http: int = field(default_factory=lambda: free_port())
    rpc: int = field(default_factory=lambda: free_port())
    serf: int = field(default_factory=lambda: free_port())
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The name of the node."""
        return self.folder.name

    @property
    def address(self) -> str:
        """Where its API answers."""
        return f"http://127.0.0.1:{self.http}"

    @property
    def log(self) -> Path:
        """All that it has said."""
        return self.folder / "agent.log"

    def start(self) -> None:
        """Start it; it is not ready yet."""
        configured = [f"-config={path}" for path in self._write_configuration()]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [self.binary, "agent", *configured],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=_environment(self.folder),
                start_new_session=True,  # Ctrl-C is not for it
            )

    def kill(self) -> None:
        """SIGKILL to the agent alone: its tasks run on."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def terminate(self) -> None:
        """SIGTERM to the agent alone, as an upgrade does: its tasks run on."""
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=READY_SECONDS)
            self.process = None

    def lose(self) -> None:
        """SIGKILL to the agent and all its tasks, as when its machine loses power."""
        self.kill()
        end_marked(self.folder)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None

    def _write_configuration(self) -> list[Path]:
        self.folder.mkdir(exist_ok=True)
        loopback = next(name for name in psutil.net_if_addrs() if name.startswith("lo"))
        values = {
            **asdict(self.options),
            "name": self.name,
            "data_dir": self.folder / "data",
            "http": self.http,
            "rpc": self.rpc,
            "serf": self.serf,
            "loopback": loopback,
            "servers": len(self.servers),
            "rpc_of_servers": _listed(server.rpc for server in self.servers),
            "serf_of_others": _listed(each.serf for each in self.servers if each is not self),
        }
        return [self._filled(name, values) for name in self.files]

    def _filled(self, name: str, values: dict[str, Any]) -> Path:
        template = string.Template((HERE / "agents" / f"{name}.hcl").read_text())
        path = self.folder / f"{name}.hcl"
        path.write_text(template.substitute(values))
        return path


@dataclass
class Cluster:
    """Servers and their clients, with what a caller needs to reach them."""

    servers: list[Agent]
    clients: list[Agent]
    token: str = ""  # the management token, where ACLs are on

    @property
    def server(self) -> Agent:
        """The first one that runs."""
        return next((server for server in self.servers if server.process), self.servers[0])

    @property
    def agents(self) -> list[Agent]:
        """All, the servers first."""
        return [*self.servers, *self.clients]

    @property
    def address(self) -> str:
        """Of the server's API."""
        return self.server.address

    @property
    def folder(self) -> Path:
        """All that it has on disk; what else is put here goes with it."""
        return self.servers[0].folder.parent

    @property
    def environment(self) -> dict[str, str]:
        """What Nomad's own clients find it by."""
        token = {"NOMAD_TOKEN": self.token} if self.token else {}
        return {"NOMAD_ADDR": self.address, **token}

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The JSON that the server answers to `/v1/<path>`, or `requests.HTTPError`.

        `options` are those of `requests.request`; a header X-Nomad-Token in them beats the token.
        """
        headers = {"X-Nomad-Token": self.token} if self.token else {}
        headers |= options.pop("headers", {})
        url = f"{self.address}/v1/{path}"
        answer = requests.request(method, url, headers=headers, timeout=REQUEST_SECONDS, **options)
        if not answer.ok:
            raise requests.HTTPError(f"{answer.status_code} {answer.text}", response=answer)
        return answer.json() if answer.content else None

    def leader(self) -> Agent | None:
        """The server that leads, as another one may see it."""
        address: str = self.call("GET", "status/leader")
        return next((each for each in self.servers if address == f"127.0.0.1:{each.rpc}"), None)

    def nodes(self) -> dict[str, dict[str, Any]]:
        """The newest node of each name, as the server lists them."""
        listed = self.call("GET", "nodes")
        return {node["Name"]: node for node in sorted(listed, key=lambda n: n["CreateIndex"])}

    def start(self, with_acl: bool = False) -> None:
        """Start all, and wait until they are ready."""
        for server in self.servers:
            server.start()
        self.wait_for(lambda: self.leader() is not None, "a leader")
        if with_acl:
            self.token = self.call("POST", "acl/bootstrap")["SecretID"]
        # Without a key, clients are refused.
        self.wait_for(lambda: bool(self.call("GET", "operator/keyring/keys")), "a key")
        for client in self.clients:
            client.start()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Until the server answers and each client that runs is ready for jobs."""
        self.wait_for(self._is_ready, "its nodes to be ready")

    def _is_ready(self) -> bool:
        nodes = self.nodes()
        running = [client for client in self.clients if client.process]
        return all(_takes_jobs(nodes.get(client.name), client.options) for client in running)

    def wait_for(
        self, is_true: Callable[[], bool], what: str, seconds: float = READY_SECONDS
    ) -> None:
        """Ask until it is so; what the server cannot answer yet is not so. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while not _without_outage(is_true):
            if dead := [agent for agent in self.agents if agent.process and not agent.alive()]:
                raise RuntimeError(f"{dead[0].name} ended:\n{dead[0].log.read_text()[-3000:]}")
            if time.monotonic() > end:
                said = self.server.log.read_text()[-3000:]
                raise TimeoutError(f"not within {seconds:.0f} s: {what}; the server said:\n{said}")
            time.sleep(0.1)


def dev_agent(binary: str, options: Options | None = None) -> AbstractContextManager[Cluster]:
    """One server and one client, ready for jobs."""
    return _cluster(binary, options or Options(), clients=1)


def cluster_of_three(
    binary: str, options: Options | None = None
) -> AbstractContextManager[Cluster]:
    """One server and three clients; a silent one counts as lost within 10 s."""
    return _cluster(binary, options or SHORT_HEARTBEATS, clients=3)


def three_servers(binary: str, options: Options | None = None) -> AbstractContextManager[Cluster]:
    """Three servers, of which one leads, and three clients; a silent one is lost within 10 s."""
    return _cluster(binary, options or SHORT_HEARTBEATS, clients=3, servers=3)


def agent_with_acl(binary: str, options: Options | None = None) -> AbstractContextManager[Cluster]:
    """A `dev_agent` that refuses all without a token; the management token comes with it."""
    return _cluster(binary, options or Options(), clients=1, with_acl=True)


@contextmanager
def _cluster(
    binary: str, options: Options, clients: int, servers: int = 1, with_acl: bool = False
) -> Iterator[Cluster]:
    acl = ("acl",) if with_acl else ()
    docker = ("docker",) if options.docker_host else ()
    with kept_folder(options.docker_host) as folder, ExitStack() as stack:
        cluster = Cluster([], [])

        def agent(name: str, *files: str) -> Agent:
            path = folder / name
            made = Agent(binary, path, ("common", *files, *acl), options, cluster.servers)
            stack.callback(made.kill)  # its tasks and folder are the keeper's
            return made

        cluster.servers += [agent(name, "server") for name in _names("server", servers)]
        cluster.clients += [agent(name, "client", *docker) for name in _names("client", clients)]
        cluster.start(with_acl)
        yield cluster


def _names(kind: str, count: int) -> list[str]:
    return [f"{kind}{n}" for n in range(1, count + 1)]


def _listed(ports: Iterable[int]) -> str:
    """As a list of addresses in a configuration file."""
    return ", ".join(f'"127.0.0.1:{port}"' for port in ports)


def _takes_jobs(node: dict[str, Any] | None, options: Options) -> bool:
    if node is None or node["Status"] != "ready":
        return False
    wanted = ["raw_exec", *(["docker"] if options.docker_host else [])]
    drivers = node["Drivers"] or {}
    return all(drivers.get(name, {}).get("Healthy") for name in wanted)


def _without_outage(is_true: Callable[[], bool]) -> bool:
    with suppress(requests.RequestException):
        return is_true()
    return False


def _environment(folder: Path) -> dict[str, str]:
    """The caller's, less what would make agents or tasks differ from one caller to the next."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NOMAD_", "AWS_"))}
    return {**kept, MARK: str(folder)}


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on, and that is given to no other caller meanwhile.

    Whoever is given one may take seconds to listen there, and several processes ask at once. So a
    name of the port's, which only one process at a time can have, is kept until this one ends.
    """
    while True:
        port = random.choice(PORTS)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            _take(port)
            return port


def _take(port: int) -> None:
    """Raises OSError where another process, or this one, was given it."""
    with socket.socket(socket.AF_UNIX) as name:
        name.bind(f"\0local-cluster-port-{port}")
        name.detach()  # open, and so taken, until this process ends
