"""What every training stage shares: the loop that resumes, objectives, schedules, inference."""
