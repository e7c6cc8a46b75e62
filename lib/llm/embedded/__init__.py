"""The model that comes with the kit, behind a server on loopback."""
