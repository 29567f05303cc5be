"""Two batches side by side: scores, what changed, speed and cost; for people and for programs."""
