"""Health and metrics: `path("leek/", include("leek.urls"))` in the site's own urls."""

from django.urls import path

from leek import views

app_name = "leek"
urlpatterns = [
    path("health/", views.ready, name="health"),
    path("health/live/", views.live, name="health-live"),
    path("health/ready/", views.ready, name="health-ready"),
    path("metrics/", views.metrics, name="metrics"),
]
