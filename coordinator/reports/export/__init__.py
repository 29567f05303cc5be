"""Rows of items in formats for programs, chosen by field and filter."""
