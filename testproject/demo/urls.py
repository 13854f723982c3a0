"""The demo's addresses."""

from django.urls import path

from demo import views

urlpatterns = [
    path("", views.home, name="home"),
    path("mail/", views.push_mail, name="push_mail"),
    path("slow/", views.push_slow, name="push_slow"),
    path("failing/", views.push_failing, name="push_failing"),
    path("tasks.json", views.tasks, name="tasks"),
]
