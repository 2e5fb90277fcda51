"""From the database to splits: selection, fetching, reports. Never imports bamkit.gan."""
