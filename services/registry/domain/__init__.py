"""Decisions of the registry: record linkage, the resolution of facts, and what a person may undo."""
