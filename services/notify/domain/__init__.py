"""Templates, digests and addressing of notices; pure."""
