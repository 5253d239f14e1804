"""Training of the student by distillation, and of the baseline it is compared with."""
