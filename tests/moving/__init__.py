"""What the README says that users of other queues have, tried with these queues where installed.

None of them is needed to test leek, so CI does without:

    $ pip install django-tasks-db django-q2 croniter huey celery django-celery-beat
    $ python -m pytest tests/integration/test_moving.py
"""
