"""The programs of the local cluster: found on this machine, or built."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().with_name("program.sh")


def program(name: str) -> str:
    """The path of nomad or versitygw; ends the process without one, and the script says why."""
    done = subprocess.run([SCRIPT, name], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{name} is needed; try: install Go 1.26, or set {name.upper()}_BIN")
    return done.stdout.strip()
