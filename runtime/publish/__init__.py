"""Writes what handlers emit to the outbox, and publishes the outbox to Kafka."""
