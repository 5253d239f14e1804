"""The student: its training by distillation, and that of the baseline it is compared with."""
