"""What the site has, and what its tasks leave."""

from typing import ClassVar

from django.db import models
from wagtail.admin.panels import FieldPanel
from wagtail.fields import RichTextField
from wagtail.images import get_image_model_string
from wagtail.models import Page
from wagtail.search import index


class Post(models.Model):
    """A post whose slug is filled in later."""

    objects: "ClassVar[models.Manager[Post]]"

    title = models.CharField(max_length=100)
    slug = models.SlugField(blank=True)

    def __str__(self) -> str:
        return self.title


class Note(models.Model):
    """What a task has to say."""

    objects: "ClassVar[models.Manager[Note]]"

    text = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.text


class Recipe(Page):
    """A page that can be found by its words, and refers to an image."""

    body = RichTextField(blank=True)
    photo = models.ForeignKey(
        get_image_model_string(), models.SET_NULL, null=True, blank=True, related_name="+"
    )

    search_fields = [*Page.search_fields, index.SearchField("body")]
    content_panels = [*Page.content_panels, FieldPanel("body"), FieldPanel("photo")]
