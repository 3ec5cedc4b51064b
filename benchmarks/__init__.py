"""Benchmarks (``make bench``): throughput relative to a baseline in the same run, not timed tests."""
