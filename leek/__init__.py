"""A task queue for Django that needs nothing but Django and its database."""

__version__ = "0.1.0"
