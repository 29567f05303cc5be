"""A model that is none, for trying out a pipeline: it needs no weights, and says so in each line.

The folder is one that `load_model` takes, so all that happens around a model happens around it.
"""

from pathlib import Path

TINY_FOLDER = Path(__file__).parent
