"""Whether outputs are pictures of their sources: far from everything, copies, inverted, all alike, only re-lit."""
