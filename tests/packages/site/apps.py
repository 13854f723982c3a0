"""The site of the packages' tests."""

from django.apps import AppConfig, apps


class PackagesSiteConfig(AppConfig):
    """A site whose code knows Django's tasks and these packages, and nothing of leek."""

    name = "tests.packages.site"
    label = "packagessite"

    def ready(self) -> None:
        """Connect the receivers."""
        if apps.is_installed("tasks_monitor"):
            from tests.packages.site import receivers

            receivers.connect()
