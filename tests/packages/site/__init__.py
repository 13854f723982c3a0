"""A site that uses these packages."""
