"""Exit statuses: 0, or why not."""

import signal

GATE_FAILED = 1
USAGE_ERROR = 2
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
