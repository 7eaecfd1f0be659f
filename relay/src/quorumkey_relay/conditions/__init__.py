"""Conditions under which a protected method waits: CEL, bounded when added, fail-closed when run."""
