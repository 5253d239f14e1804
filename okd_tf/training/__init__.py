"""Training code shared by all stages: the resumable loop, objectives, schedules, inference."""
