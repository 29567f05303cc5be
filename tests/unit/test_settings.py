"""Settings: flag over environment over file over default; and secrets that stay secret."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from coordinator.errors import CoordinatorError
from coordinator.settings import Settings, load_settings

SECRET = "hunter2-5f1c"


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder and none of our variables."""
    for name in list(os.environ):
        if name.startswith("COORDINATOR_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)


def write(text: str, name: str = "settings.yml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def refusal(file: Path | None = None, **flags: Any) -> str:
    with pytest.raises(CoordinatorError) as caught:
        load_settings(file, **flags)
    error = caught.value
    assert int(error.exit_code) == 2
    return "\n".join([str(error), *map(str, error.problems), error.hint])


# order


def test_defaults() -> None:
    settings = load_settings()
    assert (settings.cluster, settings.wait_seconds, settings.slots) == ("local", 0, None)
    assert settings.stop_threshold is None and settings.resume_threshold is None
    assert (settings.log_dir, settings.report_dir) == (Path("local-logs"), Path("local-reports"))
    assert settings.secrets == {}


def test_each_source_wins_over_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    write("slots: 5\nstop_threshold: 50\nmodel: from-file\n")
    assert load_settings().slots == 5
    monkeypatch.setenv("COORDINATOR_SLOTS", "6")
    monkeypatch.setenv("COORDINATOR_MODEL", "from-environment")
    settings = load_settings(slots=7)
    assert (settings.slots, settings.model, settings.stop_threshold) == (7, "from-environment", 50)
    assert settings.cluster == "local"
    assert load_settings(slots=None).slots == 6


def test_a_flag_may_be_0() -> None:
    write("resume_threshold: 4\nwait_seconds: 10\n")
    settings = load_settings(resume_threshold=0, wait_seconds=0.0)
    assert (settings.resume_threshold, settings.wait_seconds) == (0, 0.0)


def test_an_empty_variable_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    write("slots: 5\n")
    monkeypatch.setenv("COORDINATOR_SLOTS", "")
    assert load_settings().slots == 5


def test_variables_of_others_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATOR_TEST_DATA", "/data")
    monkeypatch.setenv("COORDINATOR_JOB", "x")
    monkeypatch.setenv("SLOTS", "99")
    assert load_settings().slots is None


def test_places_in_the_file_start_at_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    text = "state_dir: state\nlog_dir: /var/log/x\nreport_dir: ../reports\npipeline: p.yml\n"
    settings = load_settings(write(text, str(folder / "s.yml")), report_dir=Path("mine"))
    assert settings.state_dir == folder / "state" and settings.pipeline == folder / "p.yml"
    assert (settings.log_dir, settings.report_dir) == (Path("/var/log/x"), Path("mine"))


@pytest.mark.parametrize("text", ["", "# nothing\n", "pipeline:\n", "stop_threshold: null\n"])
def test_a_file_may_say_nothing(text: str) -> None:
    write(text)
    settings = load_settings()
    assert settings.pipeline is None and settings.stop_threshold is None


@pytest.mark.parametrize("text", ["[a.example, '*.b.example']", "a.example, *.b.example"])
def test_hosts_and_networks_may_be_a_list_or_one_text(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(f"allow_hosts: {text}\nallow_networks: [127.0.0.1, 10.0.0.0/8, '::1']\n")
    settings = load_settings()
    assert settings.allow_hosts == ("a.example", "*.b.example")
    assert list(map(str, settings.allow_networks)) == ["127.0.0.1/32", "10.0.0.0/8", "::1/128"]
    monkeypatch.setenv("COORDINATOR_ALLOW_NETWORKS", "10.1.2.3,fd00::/8")
    assert list(map(str, load_settings().allow_networks)) == ["10.1.2.3/32", "fd00::/8"]


@pytest.mark.parametrize(
    "line",
    [
        *(
            "allow_hosts: ['http://a.example']",
            "allow_hosts: [a.example/x]",
            "allow_hosts: ['a b']",
        ),
        *("allow_hosts: [7]", "allow_hosts: ['*']", "allow_networks: [10.0.0.1/8]"),
        *("allow_networks: [a.example]", "allow_networks: [10.0.0]", "allow_networks: {a: b}"),
    ],
)
def test_what_is_no_host_or_network_is_refused_with_its_line(line: str) -> None:
    write(f"slots: 4\n{line}\n")
    assert "settings.yml:2" in refusal()


# faults


def test_every_fault_of_the_file_has_its_line_and_a_suggestion() -> None:
    write("slot: 4\nstop_treshold: 8\nwait_seconds: soon\ncluster: nomads\n")
    message = refusal()
    assert "settings.yml:1" in message and "slots" in message
    assert "settings.yml:2" in message and "did you mean stop_threshold" in message
    assert "settings.yml:3" in message and "settings.yml:4" in message


@pytest.mark.parametrize(
    "text",
    [
        *("slots: 0", "slots: -1", "slots: two", "wait_seconds: -1", "wait_seconds: .inf"),
        *("wait_seconds: .nan", "stop_threshold: 0", "resume_threshold: -1", "cluster: moon"),
        *("log_dir: [a]", "log_dir:", "slots: 4\nslots: 5", "secrets: {A: b}", "- a", "x", "a: *b"),
        *("!!python/object/apply:os.getcwd []", "file_values: {}", "model_config: {}"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_file(text: str) -> None:
    write(text + "\n")
    assert "settings.yml" in refusal()


def test_a_file_that_is_not_there() -> None:
    assert "nothing.yml" in refusal(Path("nothing.yml"))


def test_a_fault_of_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    write("slots: 5\n")
    monkeypatch.setenv("COORDINATOR_SLOTS", "many")
    monkeypatch.setenv("COORDINATOR_CLUSTER", "moon")
    message = refusal()
    assert "COORDINATOR_SLOTS" in message and "COORDINATOR_CLUSTER" in message
    assert "settings.yml" not in message


def test_a_fault_of_a_flag_names_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATOR_CLUSTER", "moon")
    message = refusal(slots=0)
    assert "--slots" in message and "COORDINATOR_CLUSTER" in message


@pytest.mark.parametrize("value", ["not json", "[1]", '{"A": 1', '{"A": "b"}'])
def test_secrets_do_not_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("COORDINATOR_SECRETS", value)
    assert load_settings().secrets == {}


# secrets


def secrets(text: str = f"NOMAD_TOKEN={SECRET}\n", mode: int = 0o600) -> Path:
    path = write(text, "secrets.env")
    path.chmod(mode)
    return path


def test_secrets_are_read_and_never_shown(capsys: pytest.CaptureFixture[str]) -> None:
    secrets(f"# keys\nNOMAD_TOKEN={SECRET}\nQUOTED='a b'\nPLAIN=$HOME\n\n")
    settings = load_settings()
    values = {key: value.reveal() for key, value in settings.secrets.items()}
    assert values == {"NOMAD_TOKEN": SECRET, "QUOTED": "a b", "PLAIN": "$HOME"}
    shown = [repr(settings), str(settings), f"{settings}", repr(settings.secrets)]
    shown += [str(settings.model_dump()), settings.model_dump_json(), repr(settings.__dict__)]
    print(settings)
    assert SECRET not in "".join([*shown, *capsys.readouterr()])


def test_secrets_lie_beside_the_settings_file(tmp_path: Path) -> None:
    secrets()
    folder = tmp_path / "conf"
    folder.mkdir()
    assert load_settings(write("slots: 1\n", str(folder / "s.yml"))).secrets == {}
    assert "NOMAD_TOKEN" in load_settings().secrets


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o644, 0o777])
def test_secrets_that_others_may_read_are_refused(mode: int) -> None:
    path = secrets(mode=mode)
    message = refusal()
    assert "secrets.env" in message and "chmod 600" in message and SECRET not in message
    path.chmod(0o600)
    assert load_settings().secrets


def test_secrets_that_git_tracks_are_refused() -> None:
    secrets()
    git("init", "--quiet")
    assert load_settings().secrets  # not tracked
    git("add", "-f", "secrets.env")
    message = refusal()
    assert "tracked by git" in message and "git rm --cached" in message and SECRET not in message


def test_secrets_without_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secrets()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert load_settings().secrets


def test_no_other_fault_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets()
    write("slot: 4\n")
    assert SECRET not in refusal()
    write("slots: 4\n")
    monkeypatch.setenv("COORDINATOR_SLOTS", "many")
    message = refusal(cluster="moon")
    assert SECRET not in message and "many" not in message


def test_a_secrets_file_of_another_kind() -> None:
    Path("secrets.env").mkdir(mode=0o700)
    assert "secrets.env" in refusal()


def test_settings_are_not_changed_afterwards() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.slots = 9
    assert isinstance(settings, Settings)


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)
