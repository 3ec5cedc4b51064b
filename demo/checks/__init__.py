"""What the demo checks at its end, against the truth and against the invented people's identities."""
