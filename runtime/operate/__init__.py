"""Health, the watchdog and the replay of parked events."""
