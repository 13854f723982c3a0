"""The admin, the dashboard and the pages."""

from django.apps import apps
from django.contrib import admin
from django.urls import include, path
from wagtail import urls as wagtail_urls

urlpatterns = [path("admin/", admin.site.urls), path("", include(wagtail_urls))]
if apps.is_installed("overseer"):
    urlpatterns.insert(0, path("overseer/", include("overseer.urls")))
