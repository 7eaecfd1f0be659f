"""The benchmark behind docs/performance.md; start it with ``python -m bench``."""
