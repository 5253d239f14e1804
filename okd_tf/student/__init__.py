"""The student: distilling it, and evaluating it once on the test split beside all it is compared with."""
