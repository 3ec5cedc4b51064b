"""Benchmarks (``make bench``), which measure throughput relative to a baseline in the same run."""
