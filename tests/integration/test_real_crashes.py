"""What real Python processes write as they end is understood as they meant it."""

import io
import subprocess
import sys

import pytest

from coordinator.reports.scan import scan

SOON = "import sys, threading, atexit, asyncio, logging, multiprocessing, faulthandler, os\n"
POOL = "from concurrent.futures import ProcessPoolExecutor\n"
MAIN = "raise ValueError('main')\n"
LOOP = """
async def f(): 1/0
async def m():
    t = asyncio.ensure_future(f()); await asyncio.sleep(0.01); del t
asyncio.run(m())
"""
THREAD = "t = threading.Thread(target=lambda: 1/0); t.start(); t.join()\n"
CHILD = "p = multiprocessing.get_context('fork').Process(target=lambda: 1/0); p.start(); p.join()\n"
HANDLED = "try: 1/0\nexcept Exception: logging.exception('handled')\n"
DEL = "class A:\n def __del__(self): 1/0\n"

# Source -> what ended the process; "" = no exception did.
ENDS = {
    MAIN: "ValueError: main",
    "sys.exit(1)": "",
    "sys.exit('the model is missing')": "",
    "try: 1/0\nexcept Exception: sys.exit(3)": "",
    "def f(): f()\nf()": "RecursionError: maximum recursion depth exceeded",
    "exec('x = (')": "SyntaxError: '(' was never closed",
    "assert False": "AssertionError",
    "class E(Exception): pass\nraise E": "E",
    "def f():\n class E(Exception): pass\n raise E('x')\nf()": "f.<locals>.E: x",
    "raise ValueError('first\\nKeyError: second')": "ValueError: first",
    "raise ValueError('\\nsecond')": "ValueError: second",
    "e = ValueError('x'); e.add_note('KeyError: note'); raise e": "ValueError: x",
    "try: 1/0\nexcept Exception: raise KeyError(1) from None": "KeyError: 1",
    "try: 1/0\nexcept Exception: raise KeyError(1)": "KeyError: 1",
    "try: 1/0\nexcept Exception as e: raise KeyError(1) from e": (
        "KeyError: 1 (caused by ZeroDivisionError: division by zero)"
    ),
    "raise ExceptionGroup('two', [ValueError(1), KeyError(2)])": (
        "ExceptionGroup: two (2 sub-exceptions)"
    ),
    "async def f(): raise ValueError('main')\nasyncio.run(f())": "ValueError: main",
    LOOP + MAIN: "ValueError: main",
    LOOP + "sys.exit(1)": "",
    THREAD + MAIN: "ValueError: main",
    THREAD + "sys.exit(1)": "",
    CHILD + MAIN: "ValueError: main",
    CHILD + "sys.exit(1)": "",
    HANDLED + MAIN: "ValueError: main",
    "logging.error('%s %s', 1)\n" + MAIN: "ValueError: main",
    "logging.error('%s %s', 1)\nsys.exit(1)": "",
    "atexit.register(lambda: 1/0)\n" + MAIN: "ValueError: main",
    "atexit.register(lambda: 1/0)": "",
    DEL + "a = A(); del a\n" + MAIN: "ValueError: main",
    DEL + "a = A()\n" + MAIN: "ValueError: main",
    DEL + "a = A(); del a; sys.exit(1)": "",
    POOL + "with ProcessPoolExecutor(1) as p: p.submit(int, 'x').result()": (
        "ValueError: invalid literal for int() with base 10: 'x'"
    ),
    "faulthandler.enable(); os.abort()": "Fatal Python error: Aborted",
    "sys.stderr.write('\\r 10%|#   | 1/10'); " + MAIN: "ValueError: main",
}


@pytest.mark.parametrize(("source", "said"), ENDS.items(), ids=range(len(ENDS)))
def test_what_ended_a_process_is_told(source: str, said: str) -> None:
    argv = [sys.executable, "-I", "-c", f"{SOON}{source}"]
    ended = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    found = scan(io.BytesIO(ended.stderr), ended.returncode).ended_by
    assert (found.text if found else "") == said, ended.stderr.decode()
    if found is not None and not said.startswith("Fatal"):
        line = ended.stderr.decode().split("\n")[found.line - 1]
        assert line.strip() and line.strip().removeprefix("| ").split(":")[0] in said
