"""The tests of a leek_server's tasks that say nothing of tasks that are relayed, each with why."""

AHEAD = "a relay hands on ahead of the workers what has its turn"
SERVERS = "each process of a worker has a row of its own in the table of servers"
ON_THE_LOOP = "a process of a worker runs one task at a time, an async one to its end"
IN_A_CHILD = "only a leek_server kills a child at a time limit; a worker's process is interrupted"
TAKEN_OVER = "the thread that runs a task has taken it over, which DEBUG notes until its end"
NOTICED = "a broken connection is noticed, and replaced, when the task is taken over"
UNHEARD = "a relay does not hear how a task has ended: who waits finds it in the row"
HANDLERS = "a process of a worker handles signals, and so does what a task forks"
SILENT = "that a worker has started is known by its log, which such a site does not have"

LEFT_OUT = {
    "test_starts_the_urgent_first_behind_a_slow_task": AHEAD,
    "test_of_what_waits_the_most_urgent_runs_first": AHEAD,
    "test_gives_back_what_it_claimed_ahead_of_a_slow_task": AHEAD,
    "test_lets_no_flood_keep_other_queues_waiting": AHEAD,
    "test_lets_no_child_of_a_task_become_a_server": SERVERS,
    "test_has_a_lease_while_it_runs": SERVERS,
    "test_servers_serve_the_queues_of_their_aliases": SERVERS,
    "test_start_and_end_of_a_task_are_told": SERVERS,
    "test_no_child_of_one_becomes_a_server": SERVERS,
    "test_that_was_killed_costs_one_try_and_is_replaced": NOTICED,
    "test_waits_for_the_word_of_the_server": UNHEARD,
    "test_hears_of_failures": UNHEARD,
    "test_is_awaited_by_many_in_one_loop": UNHEARD,
    "test_asks_a_server_that_comes_later": UNHEARD,
    "test_lets_a_child_of_a_task_end_by_a_signal": HANDLERS,
    "test_is_not_ended_by_a_site_whose_logging_raises": SILENT,
    "test_keeps_no_query_log_in_debug_mode": TAKEN_OVER,
    "test_it_succeeds_when_that_comes_too_late": ON_THE_LOOP,
    "test_hears_of_cancelled_tasks": ON_THE_LOOP,
    "test_is_killed_in_a_child_process_at_its_own_time_limit": IN_A_CHILD,
}
