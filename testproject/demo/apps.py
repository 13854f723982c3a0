"""The demo as a Django app."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """A page that pushes tasks and shows what becomes of them."""

    name = "demo"
