"""What a host says about being fetched: robots.txt, tdmrep.json and ai.txt, each asked for once a host and day."""
