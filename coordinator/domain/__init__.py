"""Nouns that both sides share: items, states, names, places, handoff and outcome files."""
