"""Settings of the common site: the smallest there are, with what the peer asks for.

The databases are as Django sets them up, or for the best tuning as leek's README and Django's
documentation recommend for each: SQLite writes ahead and takes its lock early, connections of
servers are kept.
"""

import environ

from tests.benchmarks.peers.catalogue import peer_of_this_process

_peer = peer_of_this_process()

SECRET_KEY = "for benchmarks only"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    *_peer.apps,
    "tests.benchmarks.peers",
]
if _peer.place.database != "redis":
    DATABASES = {"default": environ.Env.db_url_config(_peer.place.url)}
    if _peer.place.tuned and _peer.place.database == "sqlite":
        DATABASES["default"]["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "timeout": 20,
        }
    elif _peer.place.tuned:
        DATABASES["default"]["CONN_MAX_AGE"] = 600

globals().update(_peer.settings())
