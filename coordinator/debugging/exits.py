"""How `coordinator.workers.attach` ends, where it does not end well."""

NO_JOB = 70  # it does not run beside a job
GONE = 71  # no such process, or one that takes no debugger
BUSY = 72  # somebody else is attached
STUCK = 73  # the process reached no line of Python
