"""Packages of others that use Django's tasks and know nothing of leek, as their users have them."""
