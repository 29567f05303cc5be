"""Whether a Nomad is fit for batches: what `coordinator doctor` says of it.

Nothing is registered, dispatched or written: rights are tried with requests that cannot succeed.
"""

import re
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from coordinator.cluster.nomad.api import NomadApi, NomadRefusal
from coordinator.domain.findings import Finding, fail, ok, warn
from coordinator.errors import ClusterError, ClusterUnavailable, CredentialsError
from coordinator.parallel import Lanes

OLDEST, BEYOND = (1, 10, 1), (1, 12)  # versions that it was tried with: from, and below
SKEW_SECONDS = 5.0  # of clocks; S3 refuses what is 15 minutes off
GC_ALLOCS, GC_SECONDS, EVENTS = 1000, 24 * 3600.0, 1000
CLOCKS, CLOCKS_AT_A_TIME = 64, 8
POLICY = "nomad acl policy apply coordinator job_defs/coordinator-policy.hcl"

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_ACLS_OFF = "ACLs disabled token"  # Nomad's own name of it
_NEVER = {"cas": 1 << 62}  # no variable was ever changed so late: the request conflicts


def check_up(api: NomadApi) -> list[Finding]:
    """Everything that can be seen from here; only the first finding where Nomad is not there."""
    try:
        leader = api.get("status", "leader")
    except (ClusterError, CredentialsError) as error:
        return [fail("nomad", str(error), error.hint)]
    if not leader:
        return [fail("nomad", f"{api.address.address} has no leader", "wait, or mend its servers")]
    checks = (_address, _clock, _version, _rights, _nodes, _clocks, _agent)
    return [finding for check in checks for finding in _guarded(check, api)]


def _guarded(check: Callable[[NomadApi], Iterator[Finding]], api: NomadApi) -> list[Finding]:
    """What a check finds; that it could not look is a finding too."""
    found: list[Finding] = []
    try:
        found.extend(check(api))
    except CredentialsError as error:
        found.append(warn(_name(check), f"not known: {error}", "let the token look"))
    except ClusterError as error:
        found.append(warn(_name(check), f"not known: {error}", error.hint))
    return found


def _name(check: Callable[..., Any]) -> str:
    return check.__name__.strip("_")


def _address(api: NomadApi) -> Iterator[Finding]:
    address = api.address.address
    parts = urlsplit(address)
    if parts.scheme == "https":
        yield ok("nomad", f"{address} answers, its certificate is good")
    elif parts.hostname in ("localhost", "127.0.0.1", "::1"):
        yield ok("nomad", f"{address} answers")
    else:
        change = "use https, with NOMAD_CACERT where the authority is your own"
        yield warn("nomad", f"{address} answers without TLS: tokens can be read on the way", change)


def _clock(api: NomadApi) -> Iterator[Finding]:
    date = api.call("get", "status", "leader", params={}).headers.get("Date", "")
    if date:
        away = parsedate_to_datetime(date).timestamp() - time.time()
        yield _skew("clock", "Nomad's clock", away, "this machine or Nomad's")


def _skew(about: str, whose: str, seconds: float, which: str) -> Finding:
    if abs(seconds) < SKEW_SECONDS:
        return ok(about, f"{whose} and this machine's agree")
    away = timedelta(seconds=round(abs(seconds)))
    direction = "ahead of" if seconds > 0 else "behind"
    return warn(about, f"{whose} is {away} {direction} this machine's", f"set the clock of {which}")


def _version(api: NomadApi) -> Iterator[Finding]:
    members = api.get("agent", "members").get("Members") or []
    versions = sorted({str(m.get("Tags", {}).get("build", "")) for m in members})
    for text in versions:
        number = tuple(int(part) for part in re.findall(r"\d+", text)[:3])
        known = f"{'.'.join(map(str, OLDEST))} to {'.'.join(map(str, BEYOND))}"
        if number < OLDEST:
            yield fail("version", f"Nomad {text} is too old", f"upgrade it: {known} are known good")
        elif number >= BEYOND:
            yield warn("version", f"Nomad {text} was not tried", f"{known} are known good")
        else:
            yield ok("version", f"Nomad {text}")


# rights


def _rights(api: NomadApi) -> Iterator[Finding]:
    """The token's rights by name: each is tried, and the logs' are read from its policies."""
    try:
        token = api.get("acl", "token", "self")
    except CredentialsError as error:
        yield fail("token", str(error), "set NOMAD_TOKEN to one that is known and has not expired")
        return
    if token.get("Name") == _ACLS_OFF:
        yield ok("token", "ACLs are off: everybody may do everything")
        return
    name, until = token.get("Name") or token.get("AccessorID"), token.get("ExpirationTime")
    yield ok("token", f"{name!r}, {token.get('Type')}" + (f", until {until}" if until else ""))
    yield from _tried_rights(api, token)


def _tried_rights(api: NomadApi, token: dict[str, Any]) -> Iterator[Finding]:
    namespace = api.address.namespace
    lacking = [right for right, attempt in _ATTEMPTS.items() if _is_refused(attempt, api)]
    may_read_logs = _may_read_logs(api, token)
    if may_read_logs is False:
        lacking.append("read-logs")
    if lacking:
        change = f"give it what the shipped policy gives: {POLICY}"
        yield fail("rights", f"lacking in {namespace!r}: {', '.join(lacking)}", change)
    else:
        named = ", ".join([*_ATTEMPTS, *(["read-logs"] if may_read_logs else [])])
        yield ok("rights", f"in {namespace!r}: {named}")
    if may_read_logs is None:
        change = f"if logs do not come home: {POLICY}"
        yield warn("rights", "read-logs: not known, the token's policies cannot be read", change)
    if _is_refused(_write_job_keys, api):
        change = f"only for --use-local-creds: {POLICY}"
        yield warn("rights", "lacking: variables nomad/jobs/*", change)


def _nothing() -> str:
    """The name of what is not there."""
    return f"coordinator-doctor-{uuid.uuid4().hex[:12]}"


def _is_refused(attempt: Callable[[NomadApi], object], api: NomadApi) -> bool:
    try:
        attempt(api)
    except CredentialsError:
        return True
    except NomadRefusal:
        return False  # allowed, and not there
    except ClusterUnavailable as error:
        if "not found" not in str(error):  # a client agent says so of what its server refused
            raise
    return False


def _plan(api: NomadApi) -> object:
    """A plan changes nothing, and needs the right to submit."""
    name = _nothing()
    task = {"Name": "t", "Driver": "raw_exec", "Config": {"command": "true"}}
    groups = [{"Name": "g", "Tasks": [task]}]
    job = {"ID": name, "Name": name, "Type": "batch", "Datacenters": ["*"], "TaskGroups": groups}
    job["Namespace"] = api.address.namespace
    return api.post("job", name, "plan", json={"Job": job, "Diff": False})


def _write_variable(api: NomadApi, folder: str) -> object:
    path = f"{folder}/{_nothing()}"
    return api.put("var", path, json={"Path": path, "Items": {"probe": ""}}, **_NEVER)


def _write_job_keys(api: NomadApi) -> object:
    return _write_variable(api, "nomad/jobs")


_ATTEMPTS: dict[str, Callable[[NomadApi], object]] = {
    "list-jobs": lambda api: api.get("jobs", prefix=_nothing()),
    "read-job": lambda api: api.get("job", _nothing(), "summary"),
    "submit-job": _plan,
    "dispatch-job": lambda api: api.post("job", _nothing(), "dispatch", json={"Meta": {}}),
    "node read": lambda api: api.get("nodes", per_page=1),
    "variables coordinator/*": lambda api: _write_variable(api, "coordinator"),
}


def _may_read_logs(api: NomadApi, token: dict[str, Any]) -> bool | None:
    """By the token's policies; None where they cannot be read. Only a real job could be tried."""
    if token.get("Type") == "management":
        return True
    try:
        policies = [api.get("acl", "policy", name) for name in _policy_names(api, token)]
    except (CredentialsError, NomadRefusal):
        return None
    rules = [policy.get("RulesJSON") or {} for policy in policies]
    spaces = [space for rule in rules for space in rule.get("Namespaces") or []]
    fitting = [space for space in spaces if _fits(space.get("Name", ""), api.address.namespace)]
    return any("read-logs" in (space.get("Capabilities") or []) for space in fitting)


def _policy_names(api: NomadApi, token: dict[str, Any]) -> set[str]:
    roles = [api.get("acl", "role", role["ID"]) for role in token.get("Roles") or []]
    of_roles = {policy["Name"] for role in roles for policy in role.get("Policies") or []}
    return of_roles | set(token.get("Policies") or [])


def _fits(pattern: str, namespace: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), namespace) is not None


# nodes and agents


def _nodes(api: NomadApi) -> Iterator[Finding]:
    nodes = api.get("nodes", resources="true")
    ready = [
        n for n in nodes if n["Status"] == "ready" and n["SchedulingEligibility"] == "eligible"
    ]
    if not ready:
        yield fail("nodes", f"none of {len(nodes)} takes jobs", "start a client, or end its drain")
        return
    yield ok("nodes", f"{len(ready)} of {len(nodes)} take jobs")
    healthy = {driver: _with_driver(ready, driver) for driver in ("raw_exec", "docker")}
    found = ", ".join(f"{driver} on {count}" for driver, count in healthy.items())
    if any(healthy.values()):
        yield ok("drivers", found)
    else:
        yield fail("drivers", found, "enable one of them in the clients' configuration")
    gpus = sum(map(_gpus, ready))
    with_gpus = sum(1 for node in ready if _gpus(node))
    yield ok("gpus", f"{gpus} on {with_gpus} nodes" if gpus else "none seen")


def _with_driver(nodes: list[dict[str, Any]], driver: str) -> int:
    return sum(bool((n.get("Drivers") or {}).get(driver, {}).get("Healthy")) for n in nodes)


def _gpus(node: dict[str, Any]) -> int:
    devices = (node.get("NodeResources") or {}).get("Devices") or []
    return sum(len(d.get("Instances") or []) for d in devices if d.get("Type") == "gpu")


def _clocks(api: NomadApi) -> Iterator[Finding]:
    """The nodes' clocks: the jobs' requests to S3 are signed with their time."""
    ready = [node for node in api.get("nodes") if node["Status"] == "ready"][:CLOCKS]

    def away(node: dict[str, Any]) -> tuple[str, float] | None:
        began = time.time()
        try:
            stats = api.get("client", "stats", node_id=node["ID"])
        except (ClusterError, CredentialsError):
            return None
        seen = float(stats["Timestamp"]) / 1e9  # taken every second
        return str(node["Name"]), min(seen - began, seen - time.time(), key=abs)

    seen = [each for each in Lanes(CLOCKS_AT_A_TIME).map(away, ready) if each is not None]
    wrong = [(name, seconds) for name, seconds in seen if abs(seconds) >= SKEW_SECONDS]
    for name, seconds in wrong:
        yield _skew("clocks", f"the clock of node {name}", seconds, f"node {name}")
    if seen and not wrong:
        yield ok("clocks", f"those of {len(seen)} nodes agree with this machine's")


def _agent(api: NomadApi) -> Iterator[Finding]:
    """How long Nomad remembers, as the agent that was asked is configured."""
    try:
        config = api.get("agent", "self").get("config") or {}
    except CredentialsError:
        change = 'to know them, give the token agent { policy = "read" }'
        found = "job_gc_threshold, gc_max_allocs, event_buffer_size: not known"
        yield warn("memory", found, change)
        return
    server, client = config.get("Server") or {}, config.get("Client") or {}
    if server.get("Enabled"):
        kept = str(server.get("JobGCThreshold") or "4h")
        yield _at_least("job_gc_threshold", kept, _seconds(kept), GC_SECONDS, '"72h"')
        events = int(server.get("EventBufferSize") or 100)
        yield _at_least("event_buffer_size", str(events), events, EVENTS, "1000")
    if client.get("Enabled"):
        kept_allocs = int(client.get("GCMaxAllocs") or 50)
        yield _at_least("gc_max_allocs", str(kept_allocs), kept_allocs, GC_ALLOCS, "5000")


def _at_least(about: str, shown: str, value: float, least: float, better: str) -> Finding:
    if value >= least:
        return ok(about, shown)
    why = "logs of jobs that ended go before they are fetched"
    return warn(about, f"{shown} is little: {why}", f"{about} = {better}")


def _seconds(duration: str) -> float:
    """Of a duration as Go writes it, as `72h0m0s`."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", duration)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
