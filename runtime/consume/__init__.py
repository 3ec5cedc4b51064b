"""Reads partitions: from a poll of Kafka to a committed transaction."""
