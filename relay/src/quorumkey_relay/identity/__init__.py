"""Who is calling: API keys, devices, sessions, nonces, and the relay's own keys."""
