"""Just-in-time access: who may activate a role, asking peers for it, and the time it lasts."""
