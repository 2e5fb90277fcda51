"""Asking people: a blind two-alternative test as one page, and what its answers say."""
