"""Webhooks: events on their way to integrators' endpoints (PROTOCOL §10)."""
