"""The German translation is complete, and what was compiled is what was translated."""

import gettext
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.utils import translation

import leek
from leek.models import QueuedTasks

PACKAGE = Path(leek.__file__).parent
CATALOG = Path("locale/de/LC_MESSAGES/django.po")

needs_gettext = pytest.mark.skipif(
    shutil.which("xgettext") is None, reason="xgettext of GNU gettext is not installed"
)


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a catalog with what leek's code says today, as `makemessages` writes it."""
    copy = tmp_path_factory.mktemp("messages") / "leek"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "django", "makemessages", "-l", "de", "--no-location", "-v0"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        check=True,
    )
    return copy / CATALOG


@needs_gettext
def test_every_text_is_translated(extracted: Path) -> None:
    options = ["--untranslated", "--only-fuzzy"]
    left = [
        subprocess.run(
            ["msgattrib", option, "--no-wrap", str(extracted)], capture_output=True, check=True
        ).stdout.decode()
        for option in options
    ]
    assert left == ["", ""]


@needs_gettext
def test_the_catalog_has_no_text_that_leek_does_not_say(extracted: Path) -> None:
    obsolete = subprocess.run(
        ["msgattrib", "--only-obsolete", str(extracted)], capture_output=True, check=True
    )
    assert obsolete.stdout.decode() == ""


@needs_gettext
def test_what_was_compiled_is_the_catalog(tmp_path: Path) -> None:
    compiled = tmp_path / "django.mo"
    subprocess.run(["msgfmt", "--check", "-o", str(compiled), str(PACKAGE / CATALOG)], check=True)
    with compiled.open("rb") as new, (PACKAGE / CATALOG).with_suffix(".mo").open("rb") as shipped:
        new_texts, shipped_texts = (
            vars(gettext.GNUTranslations(file))["_catalog"] for file in (new, shipped)
        )
    assert shipped_texts == new_texts


def test_names_of_the_models_are_shown_in_german() -> None:
    with translation.override("de"):
        assert str(QueuedTasks._meta.verbose_name) == "Aufgabe"
