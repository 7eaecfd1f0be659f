"""How this relay judges evidence: policies from the settings, and Google's revocation list."""
