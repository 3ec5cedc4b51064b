"""Everybody who acts in the demo: county staff, agencies with systems of their own, departments."""
