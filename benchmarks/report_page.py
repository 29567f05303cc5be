#!/usr/bin/env python3
"""How large `report.html` is, how long it takes to write, and what it looks like.

A made-up batch of N items (one a direction, 101 languages) goes through the same code as a real
report. With --screenshots FOLDER the page is also opened in a browser: light and dark, on a phone,
printed; first paint, search and requests are measured.
"""

import argparse
import itertools
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coordinator.domain.states import FailureKind
from coordinator.domain.usage import Use
from coordinator.metrics import Average
from coordinator.reports.explain import Message
from coordinator.reports.groups import grouped
from coordinator.reports.html import History, Inputs, Moment, page_html
from coordinator.reports.resources import Usage
from coordinator.reports.rows import ATTEMPT, FIELDS
from coordinator.reports.summary import Counts, Summary, next_commands

STEPS = ("translate", "score")
PACK, LANES, LANGUAGES = 32, 14, 101
START = 1_795_000_000.0
SIGNATURES = {"bleu": ("nrefs:1|case:mixed|eff:no|tok:flores200|smooth:exp|version:2.5.1",),
              "chrf": ("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.5.1",)}  # fmt: skip
ERRORS = (
    (FailureKind.OUT_OF_MEMORY, "killed (exit 137): out of memory, most likely"),
    (FailureKind.MODEL_ERROR, "IndexError: index 70321 is out of range of the vocabulary"),
    (FailureKind.TIMEOUT, "stopped at its time limit"),
    (FailureKind.BAD_INPUT, "the reference of line 17 is empty"),
)


def rows_of(items: int, failed: int, share: float) -> list[dict[str, Any]]:
    """`items` rows, of which `failed` have failed and `share` are over."""
    chance = random.Random(7)
    names = [f"l{n:02}x" for n in range(LANGUAGES)]
    pairs = list(itertools.permutations(names, 2))
    bad = set(chance.sample(range(max(1, int(items * share))), failed)) if failed else set()
    busy = [START] * LANES
    return [
        _row(n, pairs[n % len(pairs)], chance, busy, n in bad, n < items * share)
        for n in range(items)
    ]


def _row(
    n: int, pair: tuple[str, str], chance: random.Random, busy: list[float], bad: bool, over: bool
) -> dict[str, Any]:
    lane, pack = (n // PACK) % LANES, n // PACK
    row: dict[str, Any] = dict.fromkeys(field.name for field in FIELDS)
    row |= {"item": f"corpus-{n // 10_100}-{pair[0]}-{pair[1]}", "attempts": 0, "tries": []}
    row |= {"scores": {}, "source_language": pair[0], "target_language": pair[1]}
    if not over and n % 10 < 7:
        return row | {"state": "not_run"}
    if n % PACK == 0:
        busy[lane] += 24
    start, took = busy[lane], chance.uniform(1.5, 4)
    busy[lane] += took
    tokens = chance.randint(3_000, 9_000)
    kind, reason = ERRORS[n % len(ERRORS)] if bad else (None, "")
    if chance.random() < 0.05:
        row["tries"].append(_try("translate", 1, "lost", "lost", pack, lane, start - 30, 9.0))
    row["tries"].append(
        _try("translate", len(row["tries"]) + 1, "failed" if bad else "succeeded", kind, pack, lane,
             start, took)
    )  # fmt: skip
    row |= {"attempts": len(row["tries"]), "started_at": start, "ended_at": start + took}
    row |= {"wait_s": 24 + chance.random(), "work_s": round(took, 3), "load_s": 24.0}
    row |= {"step": "translate", "node": f"gpu-{lane:02}", "model_s": took, "sentences": 1012}
    row |= {"tokens": tokens, "tokens_per_s": tokens / took, "truncated": 0, "attempt": 1}
    if not over:
        progress = ("running", "partial", "queued")[n % 3]
        return row | {"state": "still_running", "progress": progress}
    if bad:
        return row | {"state": "failed", "kind": str(kind), "reason": reason, **_place(row)}
    row["tries"].append(_try("score", 1, "succeeded", None, pack, lane, start + 30, 0.4))
    quality = chance.gauss(32, 9) - 8 * (hash(pair[1]) % 3)
    row["scores"] = {"bleu": max(0.3, quality), "chrf": max(5.0, quality + 21 + chance.random())}
    state = "early_exit" if n % 460 == 459 else "succeeded"
    if quality < 4:
        row["suspicious"] = "6.2 % of the lines are in another script than the reference"
    return row | {"state": state, "step": "score", "attempts": row["attempts"] + 1}


def _try(
    step: str, number: int, state: str, kind: Any, pack: int, lane: int, start: float, took: float
) -> dict[str, Any]:
    name = f"corpus--{step}.pack-{pack:06d}--a{number}v1"
    made = dict.fromkeys(field.name for field in ATTEMPT)
    made |= {"step": step, "number": number, "state": state, "kind": kind and str(kind)}
    made |= {"dispatch": name, "folder": f"corpus/{step}/{name}", "node": f"gpu-{lane:02}"}
    made |= {"claimed_at": start - 30, "submitted_at": start - 29, "job_ended_at": start + 120}
    made |= {"started_at": start, "ended_at": start + took, "exit_code": 0}
    return made | {"load_s": 24.0 if step == "translate" else 0.2, "reason": "no" if kind else None}


def _place(row: dict[str, Any]) -> dict[str, Any]:
    return {"file": f"{row['tries'][-1]['folder']}/worker.stderr.0", "line": 412}


def inputs_of(items: int, failed: int, share: float, folder: Path) -> Inputs:
    """A whole batch as the page takes it."""
    rows = rows_of(items, failed, share)
    driven = History((Moment(START + 200, "paused", "400 items in flight"),
                      Moment(START + 320, "resumed", "250 items in flight")), {},
                     "process 4711" if share < 1 else None)  # fmt: skip
    return Inputs(
        summary=_summary(rows, folder),
        rows=rows,
        record=_record(items),
        usages=list(_usages()) if items else [],
        signatures=SIGNATURES if items else {},
        log_dir=folder / "local-logs",
        report_dir=folder,
        now=max((row["ended_at"] or START for row in rows), default=START),
        history=driven if items else None,
    )


def _summary(rows: list[dict[str, Any]], folder: Path) -> Summary:
    messages = [
        Message(row["item"], FailureKind(row["kind"]), "translate", "worker", row["file"],
                row["line"], row["reason"], at=row["ended_at"])
        for row in rows if row["kind"]
    ]  # fmt: skip
    failed = {
        kind: tuple(m.item for m in messages if m.kind is kind)
        for kind in {message.kind for message in messages}
    }
    scored = [row["scores"] for row in rows if row["scores"]]
    means = {
        metric: Average(sum(s[metric] for s in scored) / len(scored), len(scored), len(scored))
        for metric in (SIGNATURES if scored else ())
    }
    return Summary(
        batch="corpus",
        log_dir="local-logs",
        report_dir=str(folder),
        run_list_source="items.txt",
        run_list_complete=True,
        repeated=0,
        counts=Counts(len(rows), len(scored), 0, len(messages), 0, 0),
        kinds={kind: len(found) for kind, found in failed.items()},
        progress={},
        silent=0,
        not_stored=0,
        skipped=0,
        outside=0,
        groups=grouped(messages),
        notes=(),
        files=(),
        averages=means,
        suspicious={},
        next_commands=next_commands("corpus", failed, (), str(folder)),
        failed=failed,
    )


def _record(items: int) -> dict[str, Any]:
    wants = {"cpu": 8, "memory_mb": [32_768], "gpus": 1}
    steps = [{"name": step, "resources": wants if step == "translate" else {}} for step in STEPS]
    return {"batch": "corpus", "steps": list(STEPS), "items": items, "stop_threshold": 500,
            "resume_threshold": 350, "created_at": START, "version": "0.1.0",
            "model": "s3://models/nllb-3.3b", "pipeline": {"steps": steps}}  # fmt: skip


def _usages() -> Iterator[Usage]:
    used = {"cores": Use(1.9, 4.0), "memory_mb": Use(9_000, 11_200), "gpu_percent": Use(46.0, 100)}
    for n in range(20):
        yield Usage("translate", f"d{n}", 12, 120.0, used)


def look(page: Path, folder: Path, name: str) -> dict[str, Any]:
    """Open the page in a browser; pictures of it, and how quick it is."""
    from playwright.sync_api import sync_playwright

    found: dict[str, Any] = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
            tab = browser.new_page(viewport={"width": width, "height": 850}, color_scheme=scheme)
            tab.goto(page.absolute().as_uri())
            tab.wait_for_selector("html[data-charts=ready]", timeout=60_000)
            tab.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=True)
            paints = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
            found.setdefault("first_paint_s", round(tab.evaluate(paints) / 1000, 3))
            if scheme == "light" and width == 1280:
                tab.pdf(path=folder / f"{name}-printed.pdf", format="A4")
            tab.close()
        browser.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=10_100)
    parser.add_argument("--failed", type=int, default=300)
    parser.add_argument("--share", type=float, default=1.0, help="of the items that are over")
    parser.add_argument("--folder", type=Path, default=Path("page-benchmark"))
    parser.add_argument("--name", default="report")
    parser.add_argument("--screenshots", type=Path, help="open it in a browser, pictures to here")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    inputs = inputs_of(args.items, args.failed, args.share, args.folder)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        text = page_html(inputs)
        seconds.append(round(time.perf_counter() - began, 2))
    page = args.folder / f"{args.name}.html"
    page.write_bytes(text)
    found = {"items": args.items, "bytes": page.stat().st_size, "page": str(page)}
    found |= {"first_s": seconds[0], "again_s": seconds[1]}
    if args.screenshots:
        args.screenshots.mkdir(parents=True, exist_ok=True)
        found |= look(page, args.screenshots, args.name)
    print(json.dumps(found) if args.json else "\n".join(f"{k:<16}{v}" for k, v in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
