"""What the registry decides: who is the same child, what of all that was said stands, what a person may undo."""
