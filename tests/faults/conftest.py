"""A database of the test's own, of the vendor that the run has picked."""

from collections.abc import Iterator
from pathlib import Path

import environ
import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from tests.faults import databases
from tests.faults.databases import Database
from tests.faults.development import EditedSite
from tests.support import manage


@pytest.fixture(scope="session")
def migrated_database(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Path:
    """Return the folder of a stopped database that has the site's tables."""
    database = databases.create(connection.vendor, tmp_path_factory.mktemp("migrated") / "database")
    name = str(environ.Env.db_url_config(database.url)["NAME"])
    with django_db_blocker.unblock():
        database.start()
        migrated = manage("migrate", "-v0", DATABASE_URL=database.url, TESTS_DATABASE_NAME=name)
        database.stop()
    assert migrated.returncode == 0, migrated.stderr
    return database.folder


@pytest.fixture
def database(migrated_database: Path, transactional_db: None, tmp_path: Path) -> Iterator[Database]:
    """Return a database that is this test's own: pushes and servers use it until the test ends."""
    with databases.in_use(migrated_database, tmp_path / "database") as database:
        yield database


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EditedSite:
    """Return a site whose code a test edits."""
    folder = tmp_path / "site"
    folder.mkdir()
    return EditedSite(folder, monkeypatch)
