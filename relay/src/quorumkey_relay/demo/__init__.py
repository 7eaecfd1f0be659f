"""The demonstration: a relay, five software devices, two requests, one proof.

Nothing in it is staged. It starts a relay as a process of its own, enrols devices with keys in
files, and prints what they and the receipt say. Two devices are never connected: they are woken
through stand-ins for Apple's and Google's push services, so no account is needed. Who takes part
and what is asked stands in ``scenario.json``.
"""
