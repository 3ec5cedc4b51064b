"""The invented county: its people, what departments submit about them, and both as files."""
