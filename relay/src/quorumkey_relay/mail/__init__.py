"""E-mail about just-in-time access: what the messages say, and how they get to a mail server."""
