"""From a query to a selection manifest."""
