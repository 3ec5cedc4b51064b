"""Notifies every responsible unit of what it owes, once, in Chinese and without personal detail."""
