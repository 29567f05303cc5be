"""The groups of verbs in `coordinator --help`, in the order of a batch's life."""

from cyclopts import Group

MOMENTS = (
    "Prepare",
    "Run",
    "Steer",
    "Look",
    "Find out why",
    "Scores",
    "Debug",
    "Mend",
    "Clean up",
    "Shell",
    "Options",
)
PREPARE, RUN, STEER, LOOK, WHY, SCORES, DEBUG, MEND, CLEAN_UP, SHELL, OPTIONS = (
    Group(name, sort_key=number) for number, name in enumerate(MOMENTS, start=1)
)
