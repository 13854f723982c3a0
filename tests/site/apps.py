"""The site whose tasks the tests push."""

from django.apps import AppConfig


class TestSiteConfig(AppConfig):
    """The site of the tests."""

    name = "tests.site"
    label = "testsite"
