"""The published events, their topics and the shared vocabulary. Only Pydantic and the standard library are used."""
