"""The independent judge: trained on other images than it judges, with a card that says how far to trust it."""
