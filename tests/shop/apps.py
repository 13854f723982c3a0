"""A site whose own models refer to tasks. Installed by tests.shop.settings only."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """The shop."""

    name = "tests.shop"
