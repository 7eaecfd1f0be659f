"""The relay's HTTP and WebSocket surface: plain ASGI over one table of routes."""
