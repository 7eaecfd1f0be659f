"""Google: who the relay is there, and calls of its APIs."""
