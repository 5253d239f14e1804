"""Benchmark of steps: cases, each in a process of its own, and the comparison of their times."""
