"""Reads units' workbooks, and writes them back with their problems marked."""
