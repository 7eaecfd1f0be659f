"""What the relay does for integrators and devices: one class a task, one async call each."""
