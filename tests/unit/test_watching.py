"""`status --watch`: what is seen of a batch in its ledger, when it ends, and how it is drawn."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from coordinator.cli.live import Lines
from coordinator.cli.picture import picture
from coordinator.cli.show import batches_table
from coordinator.cli.tab import Tab, sequence, shows_progress
from coordinator.cli.watch import notes_on, state_of
from coordinator.commands.batches import BatchRow, list_batches
from coordinator.commands.exits import exits_in
from coordinator.commands.watching import Seen, Watcher
from coordinator.domain.states import FailureKind
from coordinator.engine import Snapshot, Trouble
from coordinator.errors import UsageError
from coordinator.ledger import driver_lock
from tests.fakes import HandClock
from tests.ledgers import Hand, make_batch


class World:
    """A batch of ten, its watcher, and a hand that moves it."""

    def __init__(self, folder: Path) -> None:
        self.clock = HandClock()
        self.settings = make_batch(folder, self.clock)
        self.hand = Hand(folder, self.clock)
        self.watcher = Watcher(self.settings, "b", self.clock)

    def look(self, *, driven: bool = True) -> Seen:
        if not driven:
            return self.watcher.look()
        with driver_lock(self.hand.folder, "b"):
            return self.watcher.look()

    def work(self, count: int, seconds: float, failed: tuple[str, ...] = ()) -> None:
        """So many items do both steps, one after the other."""
        for step in (0, 1):
            sent = self.hand.send(count - len(failed) if step else count, step)
            self.clock.advance(seconds)
            self.hand.end(sent, () if step else failed)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_look_has_what_the_ledger_knows(world: World) -> None:
    world.work(6, 30.0, failed=("i1",))
    world.hand.send(2)
    seen = world.look()
    translate, score = seen.snapshot.steps
    assert (translate.done, translate.failed, translate.running, translate.out) == (5, 1, 2, 1)
    assert (score.done, score.running, score.ready) == (5, 0, 0)
    assert seen.snapshot.failures == (
        Trouble(FailureKind.MODEL_ERROR, "i1", "no luck with model_error", 1),
    )
    assert seen.snapshot.tally.in_flight == 2
    assert seen.snapshot.elapsed == 60.0
    assert "process" in seen.driven_by or seen.driven_by
    assert not seen.is_finished


def test_time_left_is_that_of_the_slowest_step(world: World) -> None:
    world.work(6, 30.0)
    seen = world.look()
    # 6 items in 60 s by the first step, of which the last ended 30 s ago, and in 30 s by the other.
    assert seen.snapshot.steps[0].rate == pytest.approx(6 / 60)
    assert seen.snapshot.steps[1].rate == pytest.approx(6 / 30)
    assert seen.snapshot.eta == pytest.approx(4 / (6 / 60))
    world.clock.advance(900.0)  # the last minutes say nothing any more
    assert world.look().snapshot.eta is None
    assert world.look(driven=False).snapshot.eta is None


def test_pauses_and_trouble_are_seen_and_go_again(world: World) -> None:
    world.hand.send(8)
    world.hand.note("paused")
    assert world.look().snapshot.paused == "8 in flight, stop threshold 8; resumes at 6"
    world.hand.note("resumed")
    assert world.look().snapshot.paused == ""
    world.hand.note("credentials_paused", "AWS keys have expired")
    assert world.look().snapshot.trouble == "AWS keys have expired"
    world.hand.note("credentials_renewed")
    assert world.look().snapshot.trouble == ""
    world.hand.note("halted", "10 dispatches failed alike")
    assert world.look().snapshot.halted == "10 dispatches failed alike"
    world.hand.note("started")
    assert world.look().snapshot.halted == ""


def test_nothing_is_written(world: World) -> None:
    world.work(6, 1.0, failed=("i1",))
    files = {p: p.read_bytes() for p in world.hand.folder.iterdir() if p.name != "driver.lock"}
    for _ in range(3):
        world.look(driven=False)
    after = {p: p.read_bytes() for p in world.hand.folder.iterdir() if p.name != "driver.lock"}
    assert {p.name: d for p, d in files.items() if p.suffix == ".db"} == {
        p.name: d for p, d in after.items() if p.suffix == ".db"
    }


# Exit conditions.


def ends(world: World, *texts: str, driven: bool = True) -> list[bool]:
    seen = world.look(driven=driven)
    return [condition.holds(seen) for condition in exits_in(texts)]


def test_conditions_hold_when_they_say(world: World) -> None:
    assert ends(world, "any,waiting,0", "all,waiting,0", "any,running,0", "none,failed,0") == [
        True, True, False, True,
    ]  # fmt: skip
    world.work(6, 1.0, failed=("i1",))
    world.hand.send(4)
    assert ends(world, "any,failed,1", "all,done,0", "any,done,0", "any,waiting,0") == [
        True, False, True, False,
    ]  # fmt: skip
    assert ends(world, "any,paused,4", "any,undriven,5") == [False, False]
    assert ends(world, "any,undriven,5", "none,undriven,5", driven=False) == [True, False]
    world.hand.note("credentials_paused", "expired")
    assert ends(world, "all,paused,4") == [True]


def test_skipped_items_belong_to_all(tmp_path: Path) -> None:
    clock = HandClock()
    skipped = [{"id": "bad", "reason": "no text"}]
    settings = make_batch(tmp_path, clock, count=5, skipped=skipped)
    seen = Watcher(settings, "b", clock).look()
    [all_waiting, any_skipped] = exits_in(["all,waiting,0", "any,skipped,1"])
    assert not all_waiting.holds(seen) and any_skipped.holds(seen)
    assert seen.snapshot.skipped == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("any,failed", "three parts"),
        ("some,failed,1", "'some' is no quantifier"),
        ("any,broken,1", "'broken' is no state"),
        ("any,failed,256", "'256' is no exit code"),
        ("any,failed,-1", "'-1' is no exit code"),
        ("any,failed,one", "'one' is no exit code"),
        ("any,failed,\N{SUPERSCRIPT TWO}", "is no exit code"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        exits_in([text])
    assert words in refused.value.why


def test_the_list_of_states_is_told() -> None:
    with pytest.raises(UsageError) as refused:
        exits_in(["any,broken,1"])
    assert "done, finished, succeeded, failed, stopped, skipped, running, waiting" in (
        refused.value.hint
    )


# The picture.


def drawn(
    snapshot: Snapshot, width: int = 100, height: int = 24, encoding: str = "utf-8"
) -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="")
    console = Console(file=stream, width=width, height=height, color_system=None)
    console.print(picture(snapshot, console))
    stream.seek(0)
    return stream.read().splitlines()


@pytest.fixture
def busy(world: World) -> Snapshot:
    world.work(6, 30.0, failed=("i1",))
    world.hand.send(2)
    return world.look().snapshot


def test_the_picture_says_it_all(busy: Snapshot) -> None:
    head, translate, score, counts, failure = drawn(busy)
    assert re.match(r"b  running 1 min 0 s  ETA (\d{4}-..-.. )?\d\d:\d\d", head)
    assert re.fullmatch(
        r"  translate  █+░+  5/10  50 %   5 items/min  failed 1   running 2 in 1 pack  ready 2",
        translate,
    )
    assert score.startswith("  score      █")
    assert counts == "  succeeded 5  failed 1  in flight 2  waiting 2  = 10 items, 4 to go"
    assert failure.startswith("  ! 1 x model_error  coordinator explain model_error  e.g. i1: no")


@pytest.mark.parametrize("width", [60, 72, 80, 100, 200])
@pytest.mark.parametrize("height", [5, 8, 24])
def test_it_is_never_larger_than_the_terminal(busy: Snapshot, width: int, height: int) -> None:
    troubles = tuple(Trouble(kind, "i" * 300, "漢" * 300, 7) for kind in FailureKind)
    many = tuple(replace(busy.steps[0], name=f"step-{n}") for n in range(30))
    full = replace(
        busy, steps=many, failures=troubles, paused="8 in flight " * 30, trouble="x" * 500
    )
    lines = drawn(full, width, height)
    assert len(lines) < height
    assert all(cell_len(line) <= width for line in lines)
    assert lines[0].startswith("b  running")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_counts_add_up_at_any_width(busy: Snapshot, width: int) -> None:
    text = " ".join(drawn(replace(busy, skipped=3), width))
    words = ("succeeded", "failed", "skipped", "in flight", "waiting")
    numbers = [int(re.findall(rf"{word} (\d+)  ", f"{text}  ")[-1]) for word in words]
    assert sum(numbers) == 13
    assert "= 13 items, 4 to go" in text


def test_a_terminal_that_knows_no_blocks_gets_signs(busy: Snapshot) -> None:
    [_, translate, *_] = drawn(busy, encoding="ascii")
    assert re.match(r"  translate  #+-+ ", translate)


def test_what_comes_from_outside_is_escaped(busy: Snapshot) -> None:
    evil = Trouble(FailureKind.UNKNOWN, "\x1b[2Ji\u202e", "\x9b31m\nsecond", 1)
    text = "\n".join(drawn(replace(busy, failures=(evil,), trouble="\x1b]0;t\x07")))
    assert "\x1b" not in text and "\u202e" not in text and "\x9b" not in text and "\x07" not in text


def test_lines_come_at_once_when_something_is_new(busy: Snapshot) -> None:
    said: list[str] = []
    lines = Lines(said.append, 3600)
    calm = replace(busy, failures=())
    for snapshot in (calm, calm, busy, busy, replace(busy, paused="8 in flight"), busy):
        lines.take(snapshot)
    assert ["first model_error: i1" in line for line in said] == [False, True, False, False]
    assert "paused: 8 in flight" in said[2]
    assert said[3].endswith("going on")


def test_a_batch_that_nobody_drives_is_called_so(world: World) -> None:
    seen = world.look(driven=False)
    assert state_of(seen) == "not driven"
    assert notes_on(seen) == (
        "nobody drives it; go on with: coordinator submit --batch_name b --resume",
    )
    assert (state_of(world.look()), notes_on(world.look())) == ("running", ())


# All batches.


def test_a_list_of_batches_has_one_row_each(tmp_path: Path) -> None:
    clock = HandClock()
    settings = make_batch(tmp_path, clock, "one", skipped=[{"id": "x", "reason": "bad"}])
    make_batch(tmp_path, clock, "two", count=8, limited="limited: 4 sentences")
    hand, other = Hand(tmp_path, clock, "one"), Hand(tmp_path, clock, "two")
    sent = hand.send(6)
    clock.advance(60.0)
    hand.end(sent, failed=("i0",))
    for step in (0, 1):
        other.end(other.send(8, step))
    (tmp_path / "state/three").mkdir()
    (tmp_path / "state/three/ledger.db").write_bytes(b"not a ledger" * 100)
    with driver_lock(hand.folder, "one"):
        one, three, two = list_batches(settings, clock)
    assert isinstance(one, BatchRow) and isinstance(two, BatchRow) and isinstance(three, tuple)
    assert (one.done, one.total, one.failed, one.skipped, one.age) == (2, 11, 1, 1, 60.0)
    assert one.driven_by and one.left is None and not one.finished
    assert (two.done, two.total, two.finished, two.driven_by) == (8, 8, True, "")
    assert three[0] == "three" and "damaged" in three[1]
    text = printed(batches_table([one, two]))
    assert re.search(r"^one +1 min +2/11 +1 +1 +\S.*$", text, re.MULTILINE)
    assert "limited" in text and "paused" not in text
    assert "driven by" not in printed(batches_table([two]))


def printed(table: Table) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


# The terminal's tab.


def test_the_tab_tells_the_share_and_what_needs_a_look(busy: Snapshot, world: World) -> None:
    assert sequence(busy) == "\x1b]9;4;2;60\x1b\\"  # 5 succeeded, 1 failed, of 10
    throttled = replace(busy, paused="8 in flight, stop threshold 8")
    assert sequence(throttled) == sequence(busy)  # that is its ordinary course
    waiting = "\x1b]9;4;4;60\x1b\\"
    assert sequence(busy, is_driven=False) == waiting
    assert sequence(replace(busy, paused="paused by ann at 20:02")) == waiting
    for name in ("stuck", "credentials", "trouble"):
        assert sequence(replace(busy, **{name: "x"})) == waiting  # type: ignore[arg-type]


def test_without_a_failure_the_tab_is_calm(world: World) -> None:
    world.work(4, 30.0)
    assert sequence(world.look().snapshot) == "\x1b]9;4;1;40\x1b\\"


@pytest.mark.parametrize(
    ("said", "shows"),
    [
        ({}, False),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM_PROGRAM": "ghostty"}, True),
        ({"TERM_PROGRAM": "WezTerm"}, True),
        ({"TERM_PROGRAM": "iTerm.app", "TERM_FEATURES": "T3LrMSc7UUw9Ts3BFGsSyHNoSxF"}, False),
        ({"TERM_PROGRAM": "iTerm.app", "TERM_FEATURES": "T3LrMSc7UUw9Ts3BFGsSyHNoSxFP"}, True),
        ({"WT_SESSION": "c0ffee"}, True),
        ({"WT_SESSION": "c0ffee", "TERM": "dumb"}, False),
        ({"ConEmuANSI": "ON"}, True),
        ({"ConEmuANSI": "OFF"}, False),
        ({"TERM_PROGRAM": "ghostty", "TMUX": "/tmp/tmux-0/default,1,0"}, False),
    ],
)
def test_only_terminals_that_are_known_for_it_show_progress(
    said: dict[str, str], shows: bool
) -> None:
    assert shows_progress(said) is shows


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_tab_is_cleared_in_the_end_and_only_where_it_was_used(busy: Snapshot) -> None:
    terminal = Terminal()
    tab = Tab(terminal, {"TERM_PROGRAM": "ghostty"})
    tab.close()
    assert terminal.getvalue() == ""
    for _ in range(2):
        tab.show(busy)  # the same again is not written
    tab.close()
    assert terminal.getvalue() == sequence(busy) + "\x1b]9;4;0;0\x1b\\"
    for stream, said in ((io.StringIO(), {"TERM_PROGRAM": "ghostty"}), (Terminal(), {})):
        other = Tab(stream, said)
        other.show(busy)
        other.close()
        assert stream.getvalue() == ""
    terminal.close()
    tab.show(busy)  # that it is gone stops nothing
