"""What a task does when it runs is the same where Celery's workers run it.

These are the tests of tests/integration and tests/faults that say so of a leek_server. Here their
`start_server` is that of tests/brokers/conftest.py: a server that relays over a real broker, and a
worker. What is left out belongs to a leek_server that runs tasks itself: its threads and event
loop, its child processes, its stop with a deadline, and `--drain`.
"""

# ruff: noqa: F401 (pytest finds by their names what is imported here)

import pytest

from tests.integration.backend.test_aliases import (
    site_with,
    test_a_server_without_the_setting_runs_what_others_enqueue,
    test_a_task_of_an_alias_that_the_server_does_not_know_runs_without_signals,
    test_servers_serve_the_queues_of_their_aliases,
)
from tests.integration.backend.test_by_path import (
    test_a_recurring_task_of_the_framework_is_enqueued,
    test_a_recurring_task_that_its_backend_refuses_is_logged,
)
from tests.integration.backend.test_policies import (
    test_a_server_tries_a_task_as_often_as_it_says,
    test_a_task_is_stopped_after_its_time,
    test_an_atomic_task_has_its_context_and_leaves_nothing_of_what_failed,
    test_tasks_wait_at_a_limit_of_an_alias,
)
from tests.integration.backend.test_pushed import (
    test_a_server_tells_the_framework_of_no_pushed_task,
)
from tests.integration.backend.test_rows import (
    test_a_task_that_was_renamed_is_found_by_its_new_name,
    test_a_task_whose_function_is_gone_is_parked_and_its_result_says_so,
    test_a_task_whose_function_stays_away_fails_in_the_end,
    test_the_row_has_the_result_and_waits_for_it,
)
from tests.integration.test_atomic import (
    test_a_push_may_ask_for_it,
    test_a_setting_may_ask_for_it_and_a_push_decline,
    test_it_counts_once_where_the_server_is_killed_under_it,
    test_it_fails_where_it_goes_on_after_an_error_of_the_database,
    test_it_fails_where_the_database_does_not_go_on_after_an_error,
    test_what_it_pushes_is_undone_as_well,
    test_what_it_writes_is_there_with_its_success,
    test_what_it_writes_is_undone_where_it_fails,
)
from tests.integration.test_attempt_logs import (
    test_a_task_that_succeeds_at_last_keeps_the_logs_of_all_tries,
    test_a_task_that_takes_too_long_keeps_its_log,
    test_a_thread_with_the_context_of_the_task_belongs_to_it,
    test_an_atomic_task_stores_its_log_with_what_it_writes,
    test_each_attempt_has_its_own_log,
    test_nothing_is_stored_of_tasks_that_log_nothing_or_where_it_is_off,
    test_of_a_long_log_the_latest_lines_are_stored,
    test_tasks_that_run_beside_each_other_do_not_mix_their_logs,
    test_what_a_task_logs_is_stored_with_its_success,
)
from tests.integration.test_context import (
    surrounded,
    test_a_push_from_async_code_has_its_surroundings,
    test_a_task_has_the_surroundings_of_its_push_and_leaves_none,
    test_a_task_knows_at_which_attempt_it_is,
    test_a_task_knows_itself_wherever_its_code_runs,
    test_a_task_with_options_has_them_as_well,
    test_a_variable_that_was_renamed_fails_no_task,
    test_the_tasks_of_a_worker_share_their_caches,
)
from tests.integration.test_coroutines import TestConnections, TestOutcomes
from tests.integration.test_limits import (
    log,
    test_a_changed_limit_holds_from_the_next_start_on,
    test_a_task_fails_that_cannot_be_counted,
    test_async_tasks_have_limits_too,
    test_each_key_has_a_limit_of_its_own,
    test_no_more_run_at_a_time_than_the_limit,
    test_no_more_start_in_any_period_than_the_rate,
    test_of_what_waits_the_most_urgent_runs_first,
    test_tasks_that_wait_for_a_limit_hold_up_no_others,
    test_what_waits_is_found_by_the_next_server,
)
from tests.integration.test_mail import (
    mail_server,
    test_a_mail_of_a_transaction_that_is_rolled_back_is_never_sent,
    test_a_mail_that_is_tried_twice_keeps_its_id_and_date,
    test_mails_wait_for_the_mail_server_and_arrive_once,
)
from tests.integration.test_outages import (
    mailbox,
    own_gate,
    test_a_check_that_does_not_import_is_a_service_that_is_down,
    test_a_push_requires_services_of_its_own,
    test_a_second_server_sees_for_itself,
    test_a_setting_requires_services_of_all_tasks,
    test_a_site_has_checks_of_its_own,
    test_all_can_see_what_is_waited_for,
    test_an_error_of_a_connection_to_something_else_is_a_failed_try,
    test_an_error_that_is_no_services_fault_is_a_failed_try,
    test_an_outage_in_the_middle_costs_no_try,
    test_async_tasks_wait_too,
    test_mails_wait_for_their_server_and_others_do_not,
    test_tasks_go_on_after_a_restart,
)
from tests.integration.test_payloads import (
    test_a_callable_that_is_gone_costs_nobody_else_anything,
    test_a_forged_payload_fails_unread_and_costs_nobody_else_anything,
    test_a_key_may_be_changed_while_tasks_wait,
    test_a_renamed_task_runs_where_its_alias_leads,
    test_a_signed_text_of_another_format_fails_and_costs_nobody_else_anything,
    test_json_alone_never_reads_a_pickle,
    test_the_file_is_made_where_the_signature_is_right,
)
from tests.integration.test_policies import (
    TestATask as TestPolicies,
)
from tests.integration.test_policies import (
    test_a_task_that_is_pushed_back_starts_with_a_clean_record,
)
from tests.integration.test_retries_of_failed import test_a_task_pushed_back_by_its_row_runs_again
from tests.integration.test_scheduler import (
    test_a_new_schedule_begins_with_its_next_due_time,
    test_a_server_that_was_down_catches_up_as_its_policy_says,
    test_a_task_starts_when_it_is_due_without_a_poll,
    test_a_task_that_does_not_import_waits_for_a_server_that_knows_it,
    test_cron_entries_are_pushed_too,
    test_receivers_are_told_of_each_push,
    test_three_servers_push_one_task_for_each_due_time,
)
from tests.integration.test_server import TestATask, TestTheServer
from tests.integration.test_signals import (
    test_a_parked_task_is_not_told,
    test_each_try_is_told,
    test_receivers_may_be_async,
    test_receivers_that_raise_harm_no_task,
    test_start_and_end_of_a_task_are_told,
    test_the_last_try_is_told_with_its_error,
    test_what_receivers_of_the_start_write_belongs_to_an_atomic_task,
)
from tests.integration.test_task_progress import (
    test_a_retry_starts_without_progress,
    test_a_row_tells_how_far_its_task_is,
    test_a_time_limit_holds_for_a_task_that_tells_progress_all_the_time,
    test_progress_is_not_part_of_the_transaction_of_its_task,
)
from tests.integration.test_tracing import (
    exporter,
    test_a_recurring_task_begins_a_trace,
    test_a_task_that_was_pushed_untraced_begins_a_trace,
    test_an_attempt_belongs_to_the_trace_of_the_request,
    test_an_attempt_that_fails_is_an_error,
    test_what_a_task_pushes_belongs_to_its_trace,
)
from tests.integration.test_unique import test_a_server_frees_the_key
from tests.integration.test_wait import TestWithAServer, later, only_word_of_servers

pytestmark = [pytest.mark.django_db, pytest.mark.any_version]
