"""Architectures: their record (spec), search space (space), cost (cost) and construction (build)."""
