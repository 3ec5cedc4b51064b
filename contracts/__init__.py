"""What the services say to each other. Pydantic and the standard library only."""
