"""What a step costs: cases, each a training step on data in memory, and how their times are compared."""
