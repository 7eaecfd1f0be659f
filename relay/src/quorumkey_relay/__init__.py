"""Quorumkey relay: a sensitive action waits until M of N groups of people have approved it."""
