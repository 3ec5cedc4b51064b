"""A unit's own Kafka client, as any department could write it. It imports no other package of Hutong."""
