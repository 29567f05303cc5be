"""Runs dispatches as children of parameterized jobs on HashiCorp Nomad."""
