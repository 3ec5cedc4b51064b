"""Writes emitted events to the outbox, and publishes the outbox to Kafka."""
