"""How many items may be in flight: pause at one number, go on at a lower one."""

from dataclasses import dataclass

from coordinator.errors import UsageError


@dataclass(frozen=True)
class Thresholds:
    """Numbers of items in flight.

    Attributes:
        stop_at: starting new items pauses when this many are in flight.
        resume_at: once paused, it goes on when in flight is down to this; 0 is legal.

    Raises:
        UsageError: resume_at is not below stop_at.
    """

    stop_at: int
    resume_at: int

    def __post_init__(self) -> None:
        if not 0 <= self.resume_at < self.stop_at:
            lower = max(0, self.stop_at * 3 // 4)
            raise UsageError(
                f"--resume_threshold {self.resume_at} must be below "
                f"--stop_threshold {self.stop_at}",
                why=f"starting items pauses at {self.stop_at} in flight and has to have a lower "
                "number to go on at",
                hint=f"--stop_threshold {max(1, self.stop_at)} --resume_threshold {lower}",
            )


def is_paused(in_flight: int, was_paused: bool, thresholds: Thresholds) -> bool:
    """Pause at stop_at; once paused, stay so until in_flight is down to resume_at."""
    return in_flight >= thresholds.stop_at or (was_paused and in_flight > thresholds.resume_at)


def thresholds_for(
    stop_at: int | None, resume_at: int | None, *, lanes: int, pack: int
) -> Thresholds:
    """The user's thresholds; what was not given follows from the lanes and the pack size (items).

    Twice the packs that can run keep every lane fed while finished packs wait for their next step.
    """
    stop = stop_at if stop_at is not None else max(2, 2 * lanes * pack)
    resume = resume_at if resume_at is not None else stop * 3 // 4
    return Thresholds(stop, resume)
