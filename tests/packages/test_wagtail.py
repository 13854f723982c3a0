"""Wagtail: its indexes, files and front-end cache are kept up to date by tasks."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path

import pytest
from django.core.files.images import ImageFile
from PIL import Image as Picture
from pytest_django import Settings
from wagtail.images.models import Image
from wagtail.models import Collection, Locale, Page, ReferenceIndex, Site

from tests.packages.conftest import Start
from tests.packages.site.models import Recipe
from tests.support import LeekServer, wait_until


@pytest.fixture
def home(transactional_db: None) -> Page:
    """Return the home page of a new site."""
    Locale.objects.get_or_create(language_code="en")
    if not Collection.get_first_root_node():  # the tests before this one have left no rows at all
        Collection.add_root(name="Root")
    root = Page.get_first_root_node() or Page.add_root(title="Root", slug="root")
    home: Page = root.add_child(instance=Page(title="Vegetables", slug="vegetables"))
    Site.objects.all().delete()
    Site.objects.create(hostname="vegetables.example", root_page=home, is_default_site=True)
    return home


@pytest.fixture
def image(home: Page, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Image:
    """Return an image whose file is in the test's own folder."""
    settings.MEDIA_ROOT = str(tmp_path / "media")
    monkeypatch.setenv("TESTS_MEDIA_ROOT", settings.MEDIA_ROOT)
    file = BytesIO()
    Picture.new("RGB", (4, 4), "green").save(file, "PNG")
    return Image.objects.create(title="Leek", file=ImageFile(file, name="leek.png"))


@pytest.fixture
def purged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return what a front-end cache is told to forget."""
    paths: list[str] = []

    class Cache(BaseHTTPRequestHandler):
        def do_PURGE(self) -> None:
            paths.append(f"{self.headers['Host']}{self.path}")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Cache) as cache:
        thread = threading.Thread(target=cache.serve_forever)
        thread.start()
        monkeypatch.setenv("TESTS_FRONT_END_CACHE", f"http://127.0.0.1:{cache.server_port}")
        yield paths
        cache.shutdown()
        thread.join()


def test_a_page_is_found_by_its_words_and_by_its_image(
    start: Start, home: Page, image: Image
) -> None:
    recipe = home.add_child(
        instance=Recipe(title="Soup", slug="soup", body="<p>Vichyssoise</p>", photo=image)
    )
    assert not found("Vichyssoise")
    assert not referrers(image)
    start()

    wait_until(lambda: found("Vichyssoise") == [recipe], "the search index")
    wait_until(lambda: referrers(image) == [str(recipe.pk)], "the reference index")

    recipe.body, recipe.photo = "<p>Potage</p>", None
    recipe.save_revision().publish()

    wait_until(lambda: found("Potage") == [recipe], "the search index")
    assert not found("Vichyssoise")
    wait_until(lambda: not referrers(image), "the reference index")


@pytest.mark.logs_errors  # it means to index the image, too, which is gone
def test_the_file_of_a_deleted_image_is_deleted(start: Start, image: Image) -> None:
    path = Path(image.file.path)
    image.delete()
    assert path.exists()

    start()

    wait_until(lambda: not path.exists(), "the end of the file")


def test_a_page_that_is_published_is_purged_from_the_front_end_cache(
    purged: list[str], server: LeekServer, home: Page
) -> None:
    recipe = home.add_child(instance=Recipe(title="Soup", slug="soup", body="", live=False))

    recipe.save_revision().publish()

    wait_until(lambda: purged == ["vegetables.example/soup/"], f"a request, not {purged}")


def found(words: str) -> list[Recipe]:
    """Return the pages that Wagtail finds."""
    return [*Recipe.objects.search(words)]


def referrers(image: Image) -> list[str]:
    """Return the ids of the pages that Wagtail knows to refer to an image."""
    return [reference.object_id for reference in ReferenceIndex.get_references_to(image)]
