"""How a running job is looked into: its processes say where they are, and answer to signals.

docs/decisions/0017-reading-stacks.md has the reasons.
"""
