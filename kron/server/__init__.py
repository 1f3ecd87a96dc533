"""The one door: a small ASGI app on a socket in the data directory."""
