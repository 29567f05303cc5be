"""Events of a worker's log that others read."""

BATCH = "batch"  # one batch of sentences was translated
MODEL_SAID = "model"  # a line that the model printed
