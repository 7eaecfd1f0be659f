"""Waking devices through the push services of Apple, Google and the browsers."""
