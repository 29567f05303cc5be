#!/usr/bin/env python3
"""Runs two small batches with the code of an earlier revision and keeps what they left.

usage: python tests/data/releases/make.py REVISION FOLDER
"""

import gzip
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).parent
PLACE, HOST = "/batches", "a-host"  # instead of the folder and the machine that it was made on
PIPELINE = """
name: greet
steps:
  - name: greet
    job: command
    outputs: [stdout.txt]
    pack: {size: 2}
    options:
      command:
      - sh
      - -c
      - 'sleep {property.seconds}; case {item} in b*) exit 65;; n*) exit 66;; esac; echo {item}'
      no_data_exit_code: 66
  - name: count
    job: command
    inputs: {text: greet/stdout.txt}
    outputs: [count.txt]
    pack: {size: 2}
    options: {command: [sh, -c, 'wc -c < {input.text} > {out}/count.txt']}
"""
BATCHES = {"done": ("fine-1", "bad-1", "none-1", "fine-2"), "half": ("fine-1", "fine-2", "fine-3")}


def main(revision: str, target: Path) -> None:
    with tempfile.TemporaryDirectory() as top:
        code, work = Path(top, "code"), Path(top, "batches")
        git = ["git", "-C", str(HERE), "worktree"]
        subprocess.run([*git, "add", "--detach", str(code), revision], check=True)
        try:
            make(code, work)
            keep(work, target)
        finally:
            subprocess.run([*git, "remove", "--force", str(code)], check=True)


def make(code: Path, work: Path) -> None:
    """Both batches, and the report of the finished one."""
    work.mkdir()
    (work / "pipeline.yml").write_text(PIPELINE)
    submit(code, work, "done", "0").communicate()
    started = submit(code, work, "half", "0.7")
    while not moved(work, "half") and started.poll() is None:
        time.sleep(0.02)
    started.kill()
    started.communicate()
    for worker in workers(work):
        os.killpg(worker, signal.SIGKILL)
    ran(code, work, "report", "done").communicate()


def submit(code: Path, work: Path, batch: str, seconds: str) -> "subprocess.Popen[bytes]":
    items = [{"id": i, "properties": {"seconds": seconds}, "assets": {}} for i in BATCHES[batch]]
    (work / f"{batch}.ndjson").write_text("".join(f"{json.dumps(item)}\n" for item in items))
    given = ["--pipeline", "pipeline.yml", "--catalog", f"{batch}.ndjson", "--slots", "1"]
    return ran(code, work, "submit", "--batch_name", batch, *given)


def ran(code: Path, work: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    variables = {"PYTHONPATH": str(code), "COORDINATOR_STATE_DIR": str(work / "state")}
    command = [sys.executable, "-m", "coordinator", *arguments]
    return subprocess.Popen(command, cwd=work, env=os.environ | variables)


def rows(work: Path, batch: str, query: str) -> list[tuple[object, ...]]:
    path = work / "state" / batch / "ledger.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)) as db:
        return db.execute(query).fetchall()


def moved(work: Path, batch: str) -> bool:
    """Whether a dispatch has ended and another is out."""
    states = {row[0] for row in rows(work, batch, "SELECT state FROM dispatches")}
    return {"ended", "running"} <= states


def workers(work: Path) -> list[int]:
    jobs = (work / "state/half/cluster/jobs").glob("[!.]*")
    alive = [job for job in jobs if not (job / "ended.json").exists()]
    started = [job / "started.json" for job in alive if (job / "started.json").exists()]
    return [json.loads(path.read_text())["worker"] for path in started]


def keep(work: Path, target: Path) -> None:
    for batch in BATCHES:
        ledger = work / "state" / batch / "ledger.db"
        with closing(sqlite3.connect(ledger)) as db:
            write(target / f"{batch}.sql", "".join(f"{line}\n" for line in db.iterdump()), work)
    trees = {"logs": "local-logs/done", "reports": "local-reports", "outputs": "outputs/half"}
    for kept, tree in trees.items():
        for path in sorted((work / tree).rglob("*")):
            if path.is_file():
                place = target / kept / path.relative_to(work / tree)
                if path.suffix == ".gz":
                    write_packed(place, path.read_bytes())
                else:
                    write(place, path.read_text("utf-8"), work)


def write_packed(path: Path, data: bytes) -> None:
    """As it is: these items have no files, and so it names no folder."""
    assert tempfile.gettempdir().encode() not in gzip.decompress(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write(path: Path, text: str, work: Path) -> None:
    text = text.replace(str(work), PLACE).replace(socket.gethostname(), HOST)
    assert tempfile.gettempdir() not in text, f"{path} names a folder of this machine"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def usage(arguments: Sequence[str]) -> tuple[str, Path]:
    if len(arguments) != 2:
        sys.exit(__doc__)
    return arguments[0], HERE / arguments[1]


if __name__ == "__main__":
    revision, folder = usage(sys.argv[1:])
    if folder.exists():
        shutil.rmtree(folder)
    main(revision, folder)
