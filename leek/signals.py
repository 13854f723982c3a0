"""Signals of what becomes of tasks, for receivers of the site.

Their sender is `leek.models.QueuedTasks`. What receivers raise is logged, and harms no task.

`task_pushed`: a task is stored. Sent where it is pushed, in the caller's transaction, with its row
as `task`.

`task_started`: a task's code is about to run. Sent in its thread and its context (before an async
task: in a thread that has its context), with `task_id`, `name` and `attempt`, from 1.

`task_retried`, `task_finished`: an attempt has failed, and the task is tried again; or it was the
last. Sent when that is stored, in a thread of the server that does nothing else, with `task_id`,
`name` and `attempt`, `status` as of the row, `started_at` and `finished_at`; and with `error`,
which has a `type` and a `message`, and is None where the task has succeeded.
"""

from django.dispatch import Signal

task_pushed = Signal(use_caching=True)
task_started = Signal(use_caching=True)
task_retried = Signal(use_caching=True)
task_finished = Signal(use_caching=True)
