"""Whether what is written here outlives the container that the coordinator runs in."""

import os
from pathlib import Path

_MARK = "IN_COORDINATOR_IMAGE"  # set by the image; other containers may live as long as a machine
_MOUNTS = Path("/proc/self/mountinfo")


def goes_with_the_container(folder: Path) -> bool:
    """Whether this is a container of our image, and `folder` is on no mount of it."""
    if not os.environ.get(_MARK):
        return False
    return not is_on_a_mount(folder, _MOUNTS.read_text("utf-8", "replace"))


def is_on_a_mount(folder: Path, mountinfo: str) -> bool:
    """Whether some mount but the root's holds `folder`. `mountinfo`: as proc(5) has it."""
    points = {Path(_unescaped(line.split()[4])) for line in mountinfo.splitlines() if line}
    there = folder.resolve()
    return not (points - {Path("/")}).isdisjoint({there, *there.parents})


def _unescaped(point: str) -> str:
    """Spaces and the like stand as three octal digits."""
    head, *rest = point.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)
