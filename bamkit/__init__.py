"""bamkit: from the Behance Artistic Media database to a picture whose mood has changed."""

__version__ = "0.1.0"
