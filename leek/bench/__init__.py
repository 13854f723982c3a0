"""What leek does on this site's own database, beside what the database does without it.

All is done in tables of the benchmark's own, which end with it, by a server of its own. So the
site's tasks are neither seen nor run.
"""
