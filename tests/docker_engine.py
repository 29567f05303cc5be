"""A Docker engine for tests, and the project's images built on it, without any network.

No image can be relied on to be pulled, so the base is made with debootstrap from the machine's own
package sources, and what pip would install comes from a folder of wheels. Both, and the engine's
layers, are kept in the user's cache folder: the first run takes minutes, later ones seconds.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pytest
from keeper import unmount

from tests.support import ADMIN_FOLDERS, REPOSITORY, require_program, require_root, unmet

CACHE = Path(platformdirs.user_cache_dir("coordinator-tests"))
BASE_SUITE = "bookworm"
BASE_PACKAGES = "ca-certificates,python3,python3-venv"
BASE_PYTHON = "3.11"
REQUIREMENTS = ("build", "debug", "worker", "torch")
SECONDS_TO_START = 30


@dataclass(frozen=True)
class Engine:
    """A running engine: where it listens, and a client that can build on it."""

    client: str
    host: str | None

    def docker(
        self, *arguments: str, check: bool = True, stdin: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one command of the client, for its output and exit code."""
        done = subprocess.run(
            [self.client, *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            stdin=stdin,
        )
        if check and done.returncode != 0:
            pytest.fail(f"docker {arguments[0]} failed:\n{done.stdout}\n{done.stderr}", False)
        return done

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to use this engine."""
        where = {"DOCKER_HOST": self.host} if self.host else {}
        return {**os.environ, **where, "DOCKER_BUILDKIT": "1"}

    def run(
        self, image: str, *arguments: str, options: tuple[str, ...] = (), check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run an image to its end, without a network."""
        return self.docker(
            "run", "--rm", "--network", "none", *options, image, *arguments, check=check
        )


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    """The engine that runs on this machine, or else one of our own, stopped at the end."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one user of the cache and its engine at a time
        with contextlib.ExitStack() as stack:
            host = None if _answers(None) else stack.enter_context(_own_engine())
            engine = Engine(_client_that_builds(host), host)
            yield engine
            if host is not None:
                _forget_old_layers(engine)


@pytest.fixture(scope="session")
def build_context(docker_engine: Engine) -> Iterator[Path]:
    """What the images are built from: this checkout's files, with the wheels beside them."""
    wheels = _wheels()
    context = CACHE / "context"  # always the same path: the engine then reads what has changed only
    shutil.rmtree(context, ignore_errors=True)
    for name in _files_of_checkout():
        target = context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target)
    for wheel in wheels.iterdir():
        (context / "docker" / "wheels" / wheel.name).hardlink_to(wheel)
    yield context
    shutil.rmtree(context)


@pytest.fixture(scope="session")
def coordinator_image(docker_engine: Engine, build_context: Path) -> str:
    """The name of the coordinator's image, built from this checkout."""
    return _built(docker_engine, build_context, "coordinator")


@pytest.fixture(scope="session")
def worker_image(docker_engine: Engine, build_context: Path) -> str:
    """The name of the worker's image, built from this checkout once a run."""
    return _built(docker_engine, build_context, "worker")


def _built(engine: Engine, context: Path, target: str) -> str:
    image = f"coordinator-tests-{target}"
    base = base_image(engine)
    options = ("--network", "none", "--build-arg", f"BASE_IMAGE={base}", "--target", target)
    engine.docker("build", "--progress", "plain", *options, "--tag", image, str(context))
    return image


# --- the engine


def _answers(host: str | None) -> bool:
    engine = Engine(require_program("docker"), host)
    return engine.docker("info", "--format", "{{.ServerVersion}}", check=False).returncode == 0


def _client_that_builds(host: str | None) -> str:
    """A client whose BuildKit works: some lack the component that it takes."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin"]
    clients = (shutil.which("docker", path=folder) for folder in folders)
    found = next((client for client in clients if client and _builds(Engine(client, host))), None)
    if found is None:
        unmet("no docker client here can build with BuildKit", "apt-get install docker.io")
    return found


def _builds(engine: Engine) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
        return engine.docker("build", "--quiet", folder, check=False).returncode == 0


@contextlib.contextmanager
def _own_engine() -> Iterator[str]:
    """An engine that listens on a private socket only and has no network to give."""
    dockerd = require_program("dockerd")
    require_root("start a Docker engine")
    with (
        tempfile.TemporaryDirectory(prefix="engine-") as folder,
        (CACHE / "dockerd.log").open("w") as log,
    ):
        host = f"unix://{folder}/socket"
        command = [dockerd, "--host", host, "--data-root", str(CACHE / "docker")]
        command += ["--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
        command += ["--bridge", "none", "--iptables=false"]
        path = os.pathsep.join([os.environ.get("PATH", ""), *ADMIN_FOLDERS])
        with subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "PATH": path}
        ) as engine:
            try:
                _wait_for(engine, host)
                yield host
            finally:
                engine.terminate()
                engine.wait(timeout=SECONDS_TO_START)
                unmount(Path(folder))  # of containers on the machine's network, a mount is left


def _forget_old_layers(engine: Engine) -> None:
    engine.docker("image", "prune", "--force")
    engine.docker("builder", "prune", "--force", "--keep-storage", "10GB")


def _wait_for(engine: subprocess.Popen[bytes], host: str) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not _answers(host):
        if engine.poll() is not None or time.monotonic() > deadline:
            tail = (CACHE / "dockerd.log").read_text()[-2000:]
            unmet(f"dockerd does not start here:\n{tail}", "run it by hand to see why")
        time.sleep(0.2)


# --- the base image


def base_image(engine: Engine) -> str:
    recipe = f"{BASE_SUITE} {BASE_PACKAGES} {platform.machine()} 1"
    name = f"coordinator-tests-base:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if engine.docker("image", "inspect", name, check=False).returncode != 0:
        engine.docker("import", str(_base_tarball(name.partition(":")[2])), name)
    return name


def _base_tarball(key: str) -> Path:
    tarball = CACHE / f"base-{key}.tar"
    if not tarball.exists():
        require_root("make a base image with debootstrap")
        debootstrap = require_program("debootstrap")
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            root, packed = f"{folder}/root", f"{folder}/base.tar"
            options = ["--variant=minbase", f"--include={BASE_PACKAGES}"]
            _do(debootstrap, *options, BASE_SUITE, root, *_mirror())
            _do("tar", "--create", "--file", packed, "--directory", root, ".")
            Path(packed).rename(tarball)
    return tarball


def _mirror() -> list[str]:
    """Where this machine gets its own Debian packages from; debootstrap's default elsewhere."""
    wanted = ["Created-By: Packages", "Origin: Debian", "Label: Debian"]
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.split()[:1]


# --- what the images are built from


def _files_of_checkout() -> list[str]:
    """All files that are tracked, or could be: ignored ones must not be needed."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    names = [name for name in listed.stdout.split("\0") if name]
    return [name for name in names if (REPOSITORY / name).is_file()]


def _wheels() -> Path:
    """A folder with a wheel of every pinned package, downloaded where a pin has changed."""
    files = [REPOSITORY / "requirements.txt"]
    files += [REPOSITORY / f"requirements-{part}.txt" for part in REQUIREMENTS]
    key = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]
    folder = CACHE / f"wheels-{key}"
    if not folder.exists():
        for old in CACHE.glob("wheels-*"):
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="download-") as fresh:
            _download(files, Path(fresh) / "wheels")
            (Path(fresh) / "wheels").rename(folder)
    return folder


def _download(requirements: list[Path], folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-cache-dir", "--no-deps"]
    command += ["--only-binary", ":all:", "--python-version", BASE_PYTHON, "--dest", str(folder)]
    for file in requirements:
        command += ["--requirement", str(file)]
    _do(*command)


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        output = (done.stdout + done.stderr)[-3000:]
        unmet(f"{Path(command[0]).name} failed:\n{output}", "check this machine's package sources")
