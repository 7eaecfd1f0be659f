"""What operators see of a running relay: log lines without secrets, and metrics."""
