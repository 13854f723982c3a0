"""The site whose tasks the tests push."""

import os

from django.apps import AppConfig


class TestSiteConfig(AppConfig):
    """The site of the tests."""

    name = "tests.site"
    label = "testsite"

    def ready(self) -> None:
        """Change what a test has asked for, and connect its receivers."""
        if seconds := os.environ.get("TESTS_LAST_MOMENT"):
            from leek.server import forwarder, pool, supervisor

            for module in (forwarder, pool, supervisor):
                vars(module).update(LAST_MOMENT=float(seconds))
        if seconds := os.environ.get("TESTS_NEW_FOR"):
            from leek.server import timetable

            vars(timetable).update(NEW_FOR=float(seconds))
        if os.environ.get("TESTS_ENDS"):
            from tests.site import ends

            ends.connect()
        if file := os.environ.get("TESTS_SPANS"):
            from tests.site import spans

            spans.write_to(file)
        if name := os.environ.get("TESTS_RECEIVERS"):
            from tests.site import receivers

            receivers.connect(name)
        if name := os.environ.get("TESTS_FRAMEWORK_RECEIVERS"):
            from tests.site import framework_receivers

            framework_receivers.connect(name)
