"""Requests: addresses, the client, politeness towards hosts, the order of requests."""
