"""The process that measures on one database, that of DATABASE_URL.

It prints a line of JSON when it knows the database, and one for each measure.
"""

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence

import django

from tests.benchmarks.catalogue import MEASURES, Measure
from tests.benchmarks.sizes import Sizes


def main() -> None:
    """Set the site up, and do what the first argument says in JSON."""
    asked = json.loads(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    logging.getLogger("leek").setLevel(logging.ERROR)
    from django.db import connection

    from tests.benchmarks.site import test_database

    with test_database():
        number = ".".join(map(str, connection.get_database_version()))
        tell(vendor=connection.vendor, title=f"{connection.display_name} {number}")
        measures = [measure for measure in MEASURES if measure.name in asked["measures"]]
        run_all(measures, Sizes(**asked["sizes"]))


def run_all(measures: Sequence[Measure], sizes: Sizes) -> None:
    """Measure one after the other, each on empty tables; one that fails is no obstacle."""
    from leek.bench.session import Interrupted
    from tests.benchmarks.site import clear

    for measure in measures:
        began = time.monotonic()
        try:
            clear()
            tell(measure=measure.name, figures=measure.load()(sizes))
        except Interrupted:
            raise KeyboardInterrupt from None
        except (Exception, AssertionError) as error:
            tell(measure=measure.name, failure=f"{type(error).__name__}: {error}")
        print(f"{measure.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)


def tell(**found: object) -> None:
    """Say what was found to who started this process."""
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
