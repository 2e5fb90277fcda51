"""The commands of curation, one module each."""
