"""Where the relay keeps what it must not lose: one port, one backend a folder."""
