"""Generators and discriminators, and the names of the public implementation for their weights."""
