"""The way into the admin."""

from django.contrib.auth.models import User

from tests.browser.accessibility import inspect
from tests.browser.site import Site
from tests.browser.visitor import Visitor


def test_who_logs_in_finds_the_tasks(transactional_db: None, site: Site, visitor: Visitor) -> None:
    User.objects.create_superuser("owner", password="secret")
    visitor.site = site.url
    visitor.visit("admin/")
    visitor.fill("Username:", "owner")
    visitor.fill("Password:", "secret")
    visitor.follow("Log in")
    visitor.follow("Task queue", "#content a")
    inspect(visitor, "leek", "#content")
    visitor.follow("Tasks", "#content a")
    assert "0 tasks" in visitor.text("#content")
