"""Choosing a domain that resembles another one in everything but the emotion."""
