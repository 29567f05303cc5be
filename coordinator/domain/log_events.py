"""Events of a worker's log that others read."""

BATCH = "batch"  # one batch of sentences was translated
MODEL_SAID = "model"  # a line that the model printed
NOT_STORED = "result not stored"  # the work on an item is done, and the store did not take it
