"""A small fleet administration whose dangerous methods wait for approval; see README.md."""
