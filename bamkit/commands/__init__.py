"""One module a command. Each imports only click and light modules at the top: `bamkit --help` loads them all."""
