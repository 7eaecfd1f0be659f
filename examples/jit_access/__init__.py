"""An example: a relay that gives people roles in Google Cloud for a while, with everything around.

Google Cloud, the identity provider and the mail server are stand-ins on this machine; the relay,
its settings, the command line and the reviewer's device are the real ones.
"""
