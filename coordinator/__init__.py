"""Runs batches of jobs on Nomad or on the embedded executor, and accounts for each item."""

__version__ = "0.1.0"
