"""The one reader of pictures, what lies beside their pixels, and the folders they lie in."""
