"""Runs batches of jobs on HashiCorp Nomad, or on the embedded local executor, and accounts for each."""

__version__ = "0.1.0"
