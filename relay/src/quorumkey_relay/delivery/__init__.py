"""Getting challenges to devices: what to send, where, and what became of it."""
