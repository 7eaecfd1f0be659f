"""Pure rules of approval requests: no I/O, no clock, no randomness, no crypto library."""
