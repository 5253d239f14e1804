"""What a step costs: cases, each in a process of its own, and how their times are compared."""
