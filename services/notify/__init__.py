"""Tells every responsible unit what it owes, once, in Chinese and without personal detail."""
