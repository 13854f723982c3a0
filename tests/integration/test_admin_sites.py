"""Sites that show some of leek's tables in an admin of their own."""

import pytest
from django.contrib.admin import AdminSite
from django.test import Client
from django.urls import path, reverse

from leek.admin import GatesAdmin, ServersAdmin
from leek.models import Gates, Servers

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls(__name__),
    pytest.mark.any_database,
    pytest.mark.any_version,
]

site = AdminSite(name="admin")
site.register(Servers, ServersAdmin)
site.register(Gates, GatesAdmin)
urlpatterns = [path("admin/", site.urls)]


@pytest.mark.parametrize("name", ["leek_servers_changelist", "leek_gates_changelist"])
def test_a_list_is_shown_without_a_live_page_to_link(admin_client: Client, name: str) -> None:
    page = admin_client.get(reverse(f"admin:{name}"))
    assert page.status_code == 200
    assert "Live page" not in page.content.decode()


def test_what_there_is_of_leek_is_shown(admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:app_list", args=["leek"]))
    assert page.status_code == 200
    assert "Live page" not in page.content.decode()
