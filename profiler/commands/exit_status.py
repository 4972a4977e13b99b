"""The exit statuses of the command line, besides 0."""

import signal

GATE_FAILED = 1
USAGE_ERROR = 2
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
