"""Where faults strike batches on a real Nomad: the servers, and a proxy before each of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from agents import Cluster

from tests.acceptance.batches import Workplace
from tests.acceptance.on_nomad import VARIABLES, Nomad, NomadWorkplace, uploaded
from tests.fault_proxy import Passing, fault_proxy, refusal, signed_by
from tests.nomad_agents import fresh_namespace
from tests.servers import Answer, S3Server


@dataclass
class Store:
    """What stands before S3: it is down at times, and knows keys that have expired."""

    is_down: bool = False
    expired: set[str] = field(default_factory=set)
    token: str = "token-1"  # of whoever starts something now

    def __call__(self, request: Passing) -> Answer | None:
        if self.is_down:
            return refusal("SlowDown", 503)
        if request.headers.get("X-Amz-Security-Token") not in self.expired:
            return None
        return (400, {}, b"") if request.method == "HEAD" else refusal("ExpiredToken")

    def expire(self) -> None:
        """The keys of now are refused from now on."""
        self.expired.add(self.token)

    def renew(self) -> None:
        self.token = f"token-{len(self.expired) + 1}"


@dataclass
class Cuts:
    """Loses the answers to so many dispatches, which are carried out."""

    left: int = 0

    def __call__(self, request: Passing) -> bool:
        is_cut = self.left > 0 and "/dispatch?" in request.path
        self.left -= is_cut
        return is_cut


@dataclass
class Stage:
    """Where faults happen: Nomad and S3, and a proxy before each.

    The coordinator knows one server of Nomad's by its address, so that it loses more than a leader
    when that one leads.
    """

    agents: Cluster
    nomad_url: str
    s3_url: str
    cuts: Cuts
    store: Store

    @classmethod
    @contextmanager
    def built(cls, agents: Cluster, s3: S3Server) -> "Iterator[Stage]":
        cuts, store = Cuts(), Store()
        with (
            fault_proxy(agents.address) as nomad,
            fault_proxy(s3.endpoint, signed_by(s3)) as proxy,
        ):
            nomad.fault, nomad.cut, proxy.fault = without_events, cuts, store
            yield cls(agents, nomad.url, proxy.url, cuts, store)


def without_events(request: Passing) -> Answer | None:
    """The proxy hands on whole answers, and the event stream has no end."""
    return (500, {}, b"no events here") if "/event/stream" in request.path else None


@dataclass(frozen=True)
class StruckPlace(NomadWorkplace):
    """A workplace on that stage."""

    stage: Stage = field(kw_only=True)

    def variables(self) -> dict[str, str]:
        keys = {"AWS_ENDPOINT_URL": self.stage.s3_url, "AWS_SESSION_TOKEN": self.stage.store.token}
        return super().variables() | keys

    @classmethod
    def of(cls, place: Workplace, stage: Stage, bucket: str) -> "StruckPlace":
        """Items, texts and outputs are in the bucket; jobs have the caller's keys."""
        (place.folder / "job.vars").write_text(VARIABLES)
        nomad = Nomad(stage.agents, address=stage.nomad_url)
        flags = ("--keep_jobs", "--use-local-creds")
        return uploaded(cls(place.folder, nomad=nomad, stage=stage, flags=flags), bucket)

    @contextmanager
    def in_namespace(self) -> "Iterator[StruckPlace]":
        """The same in a new namespace, which goes with all its jobs."""
        with fresh_namespace(self.stage.agents) as name:
            yield replace(self, nomad=replace(self.nomad, namespace=name))
