"""What is in the selections and splits: leaks between them, balance between domains, link rot."""
