"""`demo`: the main job in small, with a failure made on purpose and mended."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from coordinator.catalog import make_collection
from coordinator.clock import Clock
from coordinator.commands.driving import Driven, Watch
from coordinator.commands.planning import SubmitRequest, plan_submit
from coordinator.commands.reporting import Report, report
from coordinator.commands.resubmit import plan_resubmit, resubmit
from coordinator.commands.submit import submit
from coordinator.domain.states import ItemState
from coordinator.errors import UsageError
from coordinator.settings import Settings

DEFAULT_FOLDER = Path("inputs/demo")
DEFAULT_WORK = Path("demo-run")
_BATCH = "demo"
_MARK = ".coordinator-demo"
_FAULT = {"source": "fra", "target": "spa", "sentence": 17}


class Demo:
    """One run of the demo, all below the folder `work`, which it empties first."""

    def __init__(self, folder: Path, work: Path, settings: Settings, clock: Clock) -> None:
        if not (folder / "model").is_dir():
            raise UsageError(
                f"{folder} holds no demo",
                why="it is part of the project's checkout",
                hint="run it in the checkout, or give --folder",
            )
        self._folder, self._work, self._clock = folder, work, clock
        self._began = clock.monotonic()
        self._settings = settings.model_copy(
            update={
                "cluster": "local",
                "pipeline": folder / "pipeline.yml",
                "model": str(work / "model"),
                "catalog": str(work / "items" / "collection.json"),
                "stac_api_url": "",
                "output_root": str(work / "outputs"),
                "state_dir": work / "state",
                "log_dir": work / "local-logs",
                "stop_threshold": None,
                "resume_threshold": None,
            }
        )

    @property
    def seconds(self) -> float:
        return self._clock.monotonic() - self._began

    def make_items(self) -> int:
        """Empty the work folder and fill it with items and the faulty model; how many items."""
        self._empty_work()
        made = make_collection(
            self._folder / "text", "devtest", self._work / "items", collection_id="demo"
        )
        model = self._work / "model"
        shutil.copytree(self._folder / "faulty-model", model)
        shutil.copytree(self._folder / "model", model / "model")
        (model / "fault.json").write_text(json.dumps(_FAULT))
        return made.items

    def run(self, watch: Watch) -> Driven:
        request = SubmitRequest(self._settings, batch_name=_BATCH)
        plan = plan_submit(request, self._clock, lambda _what, _done, _total: None)
        return submit(plan, self._settings, self._clock, watch)

    def mend(self, watch: Watch) -> Driven:
        """Remove the fault and run what failed again."""
        (self._work / "model" / "fault.json").unlink()
        plan = plan_resubmit(self._settings, _BATCH, self._clock)
        return resubmit(plan, self._settings, self._clock, watch)

    def report(self) -> Report:
        folder = self._work / "local-reports" / _BATCH
        return report(self._settings, _BATCH, self._clock, report_dir=folder)

    def summary(self, first: Driven, second: Driven) -> Iterator[str]:
        counts = first.results.counts
        failed = first.results.failures
        why = f" ({failed[0].kind}: {failed[0].example}: {failed[0].reason})" if failed else ""
        yield (
            f"demo  {first.results.total} directions  {counts.get(ItemState.SUCCEEDED, 0)} "
            f"succeeded  {counts.get(ItemState.FAILED, 0)} failed{why}"
        )
        again = second.results.counts.get(ItemState.SUCCEEDED, 0)
        yield f"      resubmitted with the fault removed: {again} succeeded"

    def _empty_work(self) -> None:
        """Only a folder that an earlier demo made is emptied."""
        mark = self._work / _MARK
        if self._work.exists() and any(self._work.iterdir()) and not mark.exists():
            raise UsageError(
                f"{self._work} is not empty and no demo made it",
                hint="give another folder: --work FOLDER",
            )
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True)
        mark.touch()
