"""Modules that are imported when they are needed may be needed by several threads at once."""

import subprocess
import sys

import pytest

_TWO_THREADS = """
import importlib, sys, threading, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("sacrebleu"):
            time.sleep(0.05)

sys.meta_path.insert(0, Slow())
together, errors = threading.Barrier(2), []

def load(name):
    together.wait()
    try:
        importlib.import_module(name)
    except Exception as error:
        errors.append(error)

threads = [threading.Thread(target=load, args=(name,)) for name in sys.argv[1:]]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sys.exit(str(errors) if errors else 0)
"""


@pytest.mark.parametrize("other", ["bleu", "ter", "pieces"])
def test_two_metrics_may_be_loaded_at_once(other: str) -> None:
    names = [f"coordinator.metrics.{name}" for name in ("chrf", other)]
    done = subprocess.run(
        [sys.executable, "-c", _TWO_THREADS, *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
