"""Just-in-time access: list, activate, ask peers, decide, grant, end."""
