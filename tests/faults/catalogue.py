"""The faults that a batch has to survive: what must hold, and which tests show it.

`python -m tests.faults.catalogue` prints the table of docs/reliability.md.
"""

import sys
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

SOAK = "soak"


@dataclass(frozen=True)
class Shown:
    """One test by its node ID: `folder/test_file.py::[Class::]test`, below `tests/`."""

    node: str

    @cached_property
    def _path(self) -> list[Any]:
        """Module, class and test. Raises ImportError or AttributeError where there is none such."""
        path, *names = self.node.split("::")
        found: list[Any] = [import_module(f"tests.{path.removesuffix('.py').replace('/', '.')}")]
        for name in names:
            found.append(getattr(found[-1], name))
        return found

    @property
    def function(self) -> Any:
        """The test itself."""
        return self._path[-1]

    @property
    def name(self) -> str:
        return self.node.rpartition("::")[2]

    @property
    def is_soak(self) -> bool:
        """Whether all of it runs only when it is asked for."""
        return SOAK in self.marks

    @property
    def marks(self) -> set[str]:
        """Names of the marks of all its cases."""
        marked = (getattr(part, "pytestmark", []) for part in self._path)
        listed = (marks if isinstance(marks, list) else [marks] for marks in marked)
        return {mark.name for marks in listed for mark in marks}


@dataclass(frozen=True)
class Fault:
    """One row. `left_out`: why nothing shows it, or which part of it nothing shows."""

    number: int
    title: str
    holds: str
    tests: tuple[Shown, ...]
    left_out: str = ""


def _fault(number: int, title: str, holds: str, *nodes: str, left_out: str = "") -> Fault:
    return Fault(number, title, holds, tuple(map(Shown, nodes)), left_out)


_LOCAL = "contract/test_local_cluster.py::TestLocalCluster"
_NOMAD = "contract/test_nomad_cluster.py::TestNomadCluster"
_LOCAL_FAULTS = "contract/test_local_cluster_faults.py"
_LOCAL_KILLS = "contract/test_local_cluster_kills.py"
_KILLS = "acceptance/test_kills.py"
_NOMAD_FAULTS = "acceptance/test_nomad_faults.py"
_MOVES = "acceptance/test_nomad_moves.py"
_DRIVER = "unit/test_driver.py"
_RELEASES = "faults/test_releases.py"
_LEDGER = "unit/test_ledger.py"
_VERDICTS = "unit/test_verdicts.py"
_ENDINGS = "unit/test_nomad_endings.py"
_FRAME = "unit/test_worker_frame.py"
_KEYS = "integration/test_s3_keys.py"
_S3_FAULTS = "integration/test_s3_faults.py"
_STAC = "integration/test_stac_api.py"
_REMOTE = "integration/test_remote_items.py"

FAULTS = (
    _fault(
        1,
        "The coordinator is killed after it wrote down a dispatch and before it sent it",
        "It is looked up, and sent under the same token: nothing is lost, nothing runs twice",
        f"{_DRIVER}::test_a_crash_anywhere_loses_and_doubles_nothing",
        f"{_KILLS}::test_twenty_kills_of_the_coordinator",
        f"{_LOCAL_KILLS}::test_a_coordinator_killed_anywhere_leaves_each_job_to_run_once",
        "faults/test_killed_anywhere.py::test_a_kill_at_any_system_call_loses_and_doubles_nothing",
        "faults/test_killed_anywhere.py"
        "::test_a_kill_at_every_system_call_loses_and_doubles_nothing",
        "simulation/test_seeds.py::test_nothing_is_lost_doubled_or_misjudged",
    ),
    _fault(
        2,
        "… after it sent a dispatch and before it wrote down the answer",
        "The job is adopted and not sent again",
        f"{_DRIVER}::test_a_start_says_what_it_found",
        f"{_NOMAD_FAULTS}::test_kills_of_the_coordinator",
        f"{_NOMAD}::test_a_repeated_token_is_the_same_job",
        "faults/test_killed_anywhere.py::test_a_kill_at_any_system_call_loses_and_doubles_nothing",
    ),
    _fault(
        3,
        "… while it brings logs and outcomes home, or before it purges",
        "Logs are whole, and an outcome is on record before its job is purged",
        f"{_DRIVER}::test_a_crash_anywhere_loses_and_doubles_nothing",
        f"{_NOMAD}::test_logs_that_are_home_survive_the_purge",
        f"{_MOVES}::test_killed_between_saves_and_gone_on_elsewhere",
        "faults/test_killed_anywhere.py::test_a_kill_at_any_system_call_loses_and_doubles_nothing",
    ),
    _fault(
        4,
        "… while it recovers from a kill, again and again",
        "It converges: each item still runs once",
        "unit/test_adopting.py::test_a_kill_while_it_catches_up_changes_nothing",
        f"{_KILLS}::test_twenty_kills_of_the_coordinator",
        "faults/test_killed_anywhere.py::test_kills_during_recovery_converge",
        "faults/test_killed_anywhere.py::test_kills_at_every_system_call_of_a_recovery_converge",
    ),
    _fault(
        5,
        "… while it writes a report, a list or a record",
        "The file is the old one or the new one, never half of it",
        "unit/test_dispatch_record.py::test_a_record_cut_short_is_none",
        "integration/test_fetch.py::test_a_stream_that_breaks_off_leaves_no_half_file",
        "faults/test_killed_anywhere.py"
        "::test_a_report_and_a_list_are_old_or_new_whenever_the_writer_is_killed",
    ),
    _fault(
        6,
        "The disk of ledger, logs or reports is full",
        "Nothing more is sent; it says so and goes on when there is room",
        f"{_LOCAL_FAULTS}::test_a_full_disk_refuses_submits_until_there_is_room",
        f"{_LOCAL_FAULTS}::test_a_full_disk_hides_no_ending",
        "faults/test_full_disk.py::test_wherever_the_room_ends_nothing_is_lost",
        "faults/test_full_disk.py::test_a_disk_that_is_full_at_the_start_is_named",
        "faults/test_full_disk.py::test_a_report_is_old_or_new_where_there_is_no_room",
    ),
    _fault(
        7,
        "The disk does not keep what it was told to (fsync fails)",
        "The coordinator ends at once and calls nothing confirmed",
        "faults/test_killed_anywhere.py"
        "::test_a_sync_that_fails_stops_at_once_and_is_built_on_by_nothing",
    ),
    _fault(
        8,
        "Another process holds the ledger",
        "It waits, and says who it waits for; no move is lost",
        f"{_LEDGER}::test_read_only_works_while_another_writes",
        "faults/test_damaged_ledger.py"
        "::test_a_ledger_that_is_locked_is_waited_for_and_no_move_is_lost",
        "faults/test_damaged_ledger.py::test_who_locks_a_ledger_for_ever_is_named",
    ),
    _fault(
        9,
        "The ledger is damaged or torn",
        "It opens with every committed move, or is refused with how to make it again",
        f"{_LEDGER}::test_a_damaged_file_is_said_to_be_so",
        f"{_LEDGER}::test_damage_inside_is_said_to_be_so",
        "faults/test_damaged_ledger.py::test_damage_anywhere_is_refused_or_has_cost_no_move",
        "faults/test_rebuilt_ledger.py::test_a_half_done_batch_with_jobs_at_work_goes_on",
        "faults/test_rebuilt_ledger.py::test_what_cannot_be_rebuilt_is_said",
    ),
    _fault(
        10,
        "The ledger was copied while in use, or lies where locks do not work",
        "It is refused, or safe",
        f"{_LEDGER}::test_a_folder_that_cannot_be_locked",
        "faults/test_damaged_ledger.py"
        "::test_a_live_ledger_that_was_copied_without_its_log_is_refused",
        "faults/test_damaged_ledger.py"
        "::test_a_ledger_that_is_copied_while_it_is_written_is_whole_or_refused",
        "faults/test_damaged_ledger.py::test_a_file_system_without_locks_is_refused",
    ),
    _fault(
        11,
        "The ledger was written by an earlier or a later version",
        "An earlier one is upgraded and read; a later one is refused with a sentence",
        "unit/test_control.py::test_a_ledger_of_the_first_format_is_read_and_upgraded",
        f"{_LEDGER}::test_a_ledger_of_another_kind_is_refused",
        f"{_RELEASES}::test_there_is_a_stored_ledger_of_every_format",
        f"{_RELEASES}::test_reading_changes_nothing",
        f"{_RELEASES}::test_an_upgrade_keeps_every_row",
        f"{_RELEASES}::test_a_batch_that_was_killed_goes_on_to_its_end",
        f"{_RELEASES}::test_a_report_over_a_stored_tree_says_what_it_said",
        f"{_RELEASES}::test_what_is_newer_is_refused_with_a_sentence",
        f"{_RELEASES}::test_a_newer_log_tree_is_no_crash",
    ),
    _fault(
        12,
        "The clock jumps back an hour, forward eight, or to and fro",
        "Nothing expires by it and nothing is put in order by it: no verdict changes",
        "faults/test_clocks.py::test_a_clock_that_jumps_changes_no_verdict",
        f"{_NOMAD_FAULTS}::test_the_clock_is_stepped_back_an_hour",
        "unit/test_nomad_tracking.py::test_a_nodes_clock_makes_no_job_late_that_was_seen_before",
        "unit/test_nomad_tracking.py"
        "::test_a_node_whose_clock_is_late_makes_no_job_older_than_its_allocation",
    ),
    _fault(
        13,
        "The coordinator is paused, for longer than its lease",
        "No job is charged with the time; if another may drive the batch by now, it sends nothing"
        " and leaves",
        "faults/test_pauses.py::test_a_pause_is_charged_to_no_job",
        "faults/test_pauses.py"
        "::test_a_coordinator_paused_for_longer_than_its_lease_sends_nothing_more",
        "integration/test_nomad_lock.py::test_a_silent_holder_is_replaced",
    ),
    _fault(
        14,
        "A second coordinator is started for a batch, on one host",
        "It is refused with exit code 2, and names the process and the host",
        "acceptance/test_signals.py::test_one_coordinator_a_batch_and_one_batch_a_name",
        f"{_LEDGER}::test_the_lock_has_one_holder_and_dies_with_it",
    ),
    _fault(
        15,
        "… on two hosts with one output root",
        "The second is refused by the lease on Nomad; tokens and names are one namespace",
        f"{_MOVES}::test_one_driver_between_hosts",
        f"{_MOVES}::test_a_driver_whose_lock_is_taken_leaves",
        "acceptance/test_nomad_neighbours.py"
        "::test_a_second_driver_and_a_second_batch_of_the_name_are_refused",
    ),
    _fault(
        16,
        "A lock is left by a crash, or its process number is used again",
        "It is taken over without being asked to",
        f"{_LEDGER}::test_the_lock_has_one_holder_and_dies_with_it",
        f"{_LEDGER}::test_a_damaged_note_does_not_matter",
        f"{_LOCAL_FAULTS}::test_a_process_that_got_the_same_pid_is_spared",
        "faults/test_damaged_ledger.py::test_a_lock_that_a_dead_process_left_is_taken_over",
    ),
    _fault(
        17,
        "Two users, batches of like names, one cluster",
        "Each counts, stops and purges its own jobs only",
        "acceptance/test_nomad_neighbours.py::test_neighbours_are_left_alone",
        "acceptance/test_nomad_neighbours.py"
        "::test_a_second_driver_and_a_second_batch_of_the_name_are_refused",
        "integration/test_job_files.py::test_another_users_parents_are_left_as_they_are",
    ),
    _fault(
        18,
        "Nomad's server, or its leader, is killed while jobs are dispatched",
        "Nothing is lost or doubled, and dispatching goes on by itself",
        f"{_NOMAD_FAULTS}::test_the_server_is_killed_during_dispatch",
        f"{_NOMAD_FAULTS}::test_the_leader_of_three_servers_is_killed",
        "acceptance/test_nomad_soak.py::test_a_hundred_kills_and_ten_of_each_fault",
    ),
    _fault(
        19,
        "Nomad was away, and has collected what ended meanwhile",
        "An outcome counts though its job is gone; without one the job is lost and tried again",
        "faults/test_forgotten_jobs.py::test_collected_jobs_have_their_outcome_or_are_lost",
        f"{_DRIVER}::test_a_forgotten_job_with_an_outcome_has_succeeded",
        f"{_DRIVER}::test_a_forgotten_job_is_lost_and_tried_again",
    ),
    _fault(
        20,
        "Nomad answers 429, 500 without a leader, 503, or a page of a proxy",
        "Nothing is concluded; it is asked again, at longer and longer intervals",
        "faults/test_foreign_answers.py"
        "::test_nothing_is_concluded_from_an_answer_that_is_none_of_nomads",
        "faults/test_foreign_answers.py::test_a_batch_amid_wrong_answers_runs_each_item_once",
        f"{_DRIVER}::test_an_outage_moves_nothing_and_passes",
    ),
    _fault(
        21,
        "A 500 that means that the request is at fault",
        "It is sent once, and what Nomad says of it is said",
        "faults/test_foreign_answers.py::test_a_dispatch_that_nomad_finds_at_fault_is_sent_once",
        "integration/test_nomad_cluster_rules.py"
        "::test_a_dispatch_that_nomad_will_never_take_is_refused",
        f"{_DRIVER}::test_a_refused_job_fails_at_once",
    ),
    _fault(
        22,
        "Nomad or the store takes half a minute a call, drips, or never ends",
        "A call has an end; Ctrl-C is heard within a second or two, and the batch goes on later",
        "faults/test_unanswered_calls.py"
        "::test_ctrl_c_is_heard_at_once_amid_calls_without_an_answer",
        "faults/test_unanswered_calls.py::test_ctrl_c_is_heard_at_once_before_there_is_a_batch",
        "faults/test_unanswered_calls.py::test_an_answer_that_drips_is_given_up",
    ),
    _fault(
        23,
        "A dispatch is carried out and its answer cut off",
        "It is looked up by name and token: one job a token",
        f"{_NOMAD_FAULTS}::test_dispatches_are_answered_by_cut_connections",
        "faults/test_foreign_answers.py::test_a_batch_amid_wrong_answers_runs_each_item_once",
    ),
    _fault(
        24,
        "One token is sent twice at the same time, and Nomad answers with a job that is not there",
        "What is answered after a repetition is looked up before it is believed",
        "integration/test_nomad_cluster_rules.py"
        "::test_one_token_sent_at_once_by_many_is_one_job_that_exists",
    ),
    _fault(
        25,
        "The event stream has gaps, repeats itself, talks nonsense or falls silent",
        "It is a hint only: the end of a job is seen by the next look at the latest",
        "faults/test_event_stream.py::test_the_end_of_a_job_is_seen_whatever_the_stream_says",
    ),
    _fault(
        26,
        "A node is lost, and a replacement runs beside the first job",
        "One outcome counts; what the other writes does no harm",
        f"{_NOMAD_FAULTS}::test_a_client_is_lost_for_good",
        "integration/test_job_files.py::test_a_lost_nodes_job_goes_on_elsewhere_but_not_at_once",
        "integration/test_nomad_lost_nodes.py::test_every_job_of_a_lost_node_goes_on_elsewhere",
        f"{_FRAME}::test_a_repeated_run_does_nothing_again",
        f"{_FRAME}::test_a_repeated_run_that_cannot_start_takes_nothing_back",
        "simulation/test_seeds.py::test_nothing_is_lost_doubled_or_misjudged",
    ),
    _fault(
        27,
        "A node is drained: its jobs read complete, even those that never started",
        "The infrastructure is to blame; it is tried again and is no success",
        f"{_NOMAD_FAULTS}::test_a_node_is_drained",
        f"{_ENDINGS}::test_endings_without_an_outcome",
        f"{_DRIVER}::test_a_drained_pack_that_began_nothing_is_not_charged",
    ),
    _fault(
        28,
        "A job that ignores the request to stop is killed: exit code 137 without lack of memory",
        "It was stopped, and is not out of memory",
        f"{_NOMAD}::test_who_ignores_sigterm_is_killed",
        f"{_LOCAL}::test_who_ignores_sigterm_is_killed",
        f"{_VERDICTS}::test_without_an_outcome_the_ending_decides",
    ),
    _fault(
        29,
        "The kernel kills a job for its memory, and the cluster does not say so",
        "It is out of memory, and tried again with more",
        f"{_VERDICTS}::test_without_an_outcome_the_ending_decides",
        f"{_ENDINGS}::test_endings_without_an_outcome",
        f"{_NOMAD}::test_signals_come_through",
        f"{_DRIVER}::test_more_memory_after_out_of_memory",
        left_out="no test sets a real memory limit: that takes rights over control groups which"
        " few machines give; the same SIGKILL is sent instead",
    ),
    _fault(
        30,
        "A task beside the worker fails",
        "What the worker has done stays done",
        "faults/test_sibling_tasks.py::test_a_poststop_task_that_fails_leaves_a_success_a_success",
        f"{_VERDICTS}::test_an_outcome_wins_over_everything",
    ),
    _fault(
        31,
        "The store asks to slow down, for seconds or for minutes",
        "It is asked again; the batch waits and charges nobody",
        f"{_NOMAD_FAULTS}::test_s3_answers_503_for_a_while",
        "faults/test_lying_store.py::test_an_overloaded_store_costs_time_and_no_attempt",
        f"{_DRIVER}::test_a_store_that_does_not_answer_moves_nothing",
    ),
    _fault(
        32,
        "An upload is cut in the middle, or an outcome is there before its files",
        "The outcome is written last, and its files' sizes are checked; half a file is no file",
        f"{_KEYS}::test_a_cut_in_a_large_upload_is_mended",
        f"{_KEYS}::test_half_a_large_upload_is_no_object",
        f"{_FRAME}::test_the_outcome_is_written_last_and_begun_first",
        "faults/test_lying_store.py::test_what_the_store_only_says_is_not_believed",
    ),
    _fault(
        33,
        "The store took a file, and does not find it afterwards",
        "It is no success; it is looked for or made again",
        "faults/test_lying_store.py::test_what_the_store_only_says_is_not_believed",
        f"{_FRAME}::test_what_an_earlier_step_left_and_is_gone_may_come_back",
    ),
    _fault(
        34,
        "A machine's clock is so far off that the store refuses it",
        "The infrastructure is to blame, and the machine is named",
        f"{_KEYS}::test_a_clock_that_is_off_is_no_fault_of_the_keys",
        f"{_S3_FAULTS}::test_codes",
    ),
    _fault(
        35,
        "Keys expire in the middle of a batch and are renewed later",
        "The batch pauses once, charges no item, and goes on",
        "acceptance/test_credentials.py::test_expired_keys_pause_the_batch_once_and_burn_nothing",
        "acceptance/test_credentials.py::test_keys_are_handed_in_to_a_live_batch",
        "acceptance/test_nomad_credentials.py::test_keys_are_renewed_amid_a_batch_and_stay_nowhere",
    ),
    _fault(
        36,
        "An item kills whoever works on it",
        "It is parked by name after its attempts; the rest of its pack is done without it",
        "faults/test_poison_items.py"
        "::test_poison_items_are_parked_by_name_and_the_rest_of_their_pack_is_done",
        f"{_KILLS}::test_a_killed_worker_costs_only_what_it_had_in_hand",
    ),
    _fault(
        37,
        "All jobs fail alike, as with a wrong image",
        "The batch stops after a few, and says why",
        "faults/test_poison_items.py::test_a_batch_whose_jobs_cannot_even_start_stops_after_a_few",
        "acceptance/test_control.py::test_a_batch_stops_where_all_fails_alike",
        "unit/test_control.py::test_the_batch_stops_where_all_fails_alike",
    ),
    _fault(
        38,
        "A list of a million lines, or one line of a gigabyte",
        "It is read as a stream, in bounded memory; a line too long is refused by its number",
        "unit/test_item_lists.py::test_a_line_that_never_ends_is_refused_by_its_number",
        "faults/test_sizes.py::test_a_list_of_a_million_items_is_read_in_bounded_memory",
        "faults/test_sizes.py::test_a_list_of_one_line_of_a_gigabyte_is_refused_by_its_line",
    ),
    _fault(
        39,
        "Item ids that lead out of a folder, hide or repeat themselves",
        "They are refused at the door by name and line, or are one safe part of a path",
        "unit/test_names.py::test_hostile_ids_are_refused_with_a_short_reason",
        "unit/test_names.py::test_an_id_that_passes_is_one_segment_of_keys_and_paths",
        "acceptance/test_bad_input.py::test_refused_in_words_and_nothing_written",
        "faults/test_injections.py::test_each_line_of_a_list_is_an_id_or_refused_with_its_line",
        "faults/test_injections.py::test_an_id_is_refused_or_one_part_of_a_path",
        "faults/test_injections.py::test_a_whole_batch_of_them",
    ),
    _fault(
        40,
        "An output folder holds symbolic links, pipes or devices",
        "They are not followed, and that is said",
        f"{_FRAME}::test_links_and_folders_are_not_taken_along",
        f"{_FRAME}::test_a_link_is_no_output",
        "unit/test_reports.py::test_links_and_devices_are_not_followed_and_told",
        "unit/test_report_tree.py::test_a_device_is_not_opened",
        "faults/test_hostile_files.py::test_only_plain_files_of_an_output_folder_are_objects",
        "faults/test_hostile_files.py::test_a_link_to_another_batch_is_not_followed",
        "faults/test_hostile_files.py"
        "::test_of_what_a_job_leaves_plain_files_are_kept_and_the_rest_is_said",
        "faults/test_hostile_files.py::test_no_reader_waits_at_a_pipe_or_reads_a_device",
    ),
    _fault(
        41,
        "A log of gigabytes, without a line end, or binary",
        "Head and tail are kept; memory and disk stay bounded",
        "unit/test_local_cluster_parts.py::test_of_a_long_stream_head_and_tail_are_kept",
        "unit/test_nomad_logs.py::test_head_and_tail_are_kept",
        "unit/test_report_scan.py::test_a_line_of_50_mb_takes_little_memory",
        "faults/test_sizes.py::test_of_a_long_log_head_and_tail_come_home",
        "faults/test_sizes.py::test_of_a_stream_from_far_away_too",
        "faults/test_sizes.py::test_a_report_over_a_log_of_a_gigabyte",
    ),
    _fault(
        42,
        "A log line made to keep a pattern busy",
        "Reading takes no longer than that of a calm line",
        "unit/test_report_scan.py::test_a_line_of_50_mb_takes_little_memory",
        "faults/test_sizes.py::test_a_hostile_log_takes_little_longer_than_a_calm_one",
        "faults/test_sizes.py::test_hostile_lines_elsewhere_take_no_time",
    ),
    _fault(
        43,
        "Markup in an id or a log line, on its way into a report",
        "It is text only: no file of a report is a page",
        "unit/test_reports.py::test_hostile_words_are_harmless_in_the_table_and_on_the_terminal",
        "unit/test_reports.py::test_hostile_folder_names_and_ids_are_harmless",
        "faults/test_injections.py::test_every_file_of_a_report_is_text_json_or_csv_and_no_page",
        "faults/test_injections.py::test_the_printed_report_shows_them_as_text",
    ),
    _fault(
        44,
        "Formulas for a spreadsheet in an id",
        "They are defused in tables, and still told apart",
        "unit/test_shown.py::test_a_formula_becomes_text",
        "unit/test_shown.py::test_a_cell_stays_on_one_line_through_the_csv_module",
        "faults/test_injections.py::test_a_table_takes_them_for_no_formula_and_keeps_its_cells",
        "faults/test_injections.py::test_the_tables_of_a_report_hold_no_formula",
    ),
    _fault(
        45,
        "Control sequences for a terminal in a log line, an id or a name",
        "They are written out and do nothing",
        "unit/test_shown.py::test_what_a_terminal_would_act_on_is_written_out",
        "faults/test_injections.py::test_an_error_shows_them_as_text",
        "faults/test_injections.py::test_a_result_shows_them_as_text_though_a_verb_forgets",
    ),
    _fault(
        46,
        "Archives that unpack to elsewhere, or to too much",
        "Nothing is unpacked anywhere; an archive in place of a model or a text is refused by name",
        "faults/test_hostile_files.py::test_an_archive_is_refused_by_name_and_not_unpacked",
    ),
    _fault(
        47,
        "Pickles in a model folder",
        "They are never loaded, and it is said how to convert them",
        "unit/test_model_folder.py::test_pickles_are_never_loaded",
        "integration/test_huggingface_models.py::test_code_in_a_model_folder_is_never_run",
        "faults/test_hostile_files.py"
        "::test_a_hostile_model_is_refused_by_its_file_and_never_loaded",
    ),
    _fault(
        48,
        "Damaged weights: a header too large, a cut file, a pointer in place of one",
        "The file is named before anything is sent",
        "unit/test_safetensors_file.py::test_broken_files_are_named",
        "unit/test_safetensors_file.py::test_random_bytes_are_never_whole",
        "unit/test_model_folder.py::test_cut_weights_are_refused",
        "unit/test_model_folder.py::test_pointers_of_git_lfs_are_told_from_files",
        "faults/test_hostile_files.py"
        "::test_a_worker_refuses_them_before_it_loads_anything_that_takes_a_gpu",
    ),
    _fault(
        49,
        "A pipeline file with code, bombs, repeated keys or words that turn into something else",
        "It is refused with the line, at once",
        "unit/test_pipeline_file.py::test_nothing_in_a_file_is_run",
        "unit/test_pipeline_file.py::test_a_fault_is_named_with_its_line",
        "unit/test_pipeline_file.py"
        "::test_words_that_other_yaml_turns_into_something_else_stay_text",
        "faults/test_hostile_files.py"
        "::test_a_hostile_settings_or_pipeline_file_is_refused_with_its_line_within_a_second",
        "faults/test_hostile_files.py::test_a_word_of_a_yaml_file_stays_the_word",
    ),
    _fault(
        50,
        "Addresses in items that lead inside, to files, or nowhere",
        "Only what is allowed is fetched, whatever a name or a redirect says; sizes are capped",
        f"{_REMOTE}::test_a_remote_catalog_that_names_local_files",
        f"{_REMOTE}::test_a_web_server_may_only_lead_to_web_servers",
        f"{_REMOTE}::test_sizes_have_a_limit_even_when_packed",
        "faults/test_fetching.py::test_what_may_not_be_fetched_is_not_asked_and_said",
        "faults/test_fetching.py"
        "::test_a_name_that_means_something_else_the_next_moment_gains_nothing",
        "faults/test_fetching.py::test_a_redirect_is_judged_at_each_of_its_steps",
        "faults/test_fetching.py::test_a_body_without_an_end_is_read_to_the_limit_only",
    ),
    _fault(
        51,
        "A STAC API that repeats itself, never ends or answers with something else",
        "It is told; nothing runs for ever; exit code 2",
        f"{_STAC}::test_pages_without_an_end_are_told",
        f"{_STAC}::test_one_id_on_two_pages_is_told",
        f"{_STAC}::test_answers_that_are_none_of_an_api",
        f"{_STAC}::test_junk_among_the_items_is_named",
        "faults/test_fetching.py::test_pages_that_bring_only_what_was_there_before_come_to_an_end",
        "faults/test_fetching.py::test_an_api_that_cannot_be_meant_ends_a_submit_with_exit_code_2",
    ),
    _fault(
        52,
        "Secrets in the environment, arguments, meta data, tracebacks, addresses or a job's output",
        "They are in no job, allocation, event, log, ledger, report or output",
        "acceptance/test_nomad_secrets.py"
        "::test_a_whole_batch_with_the_shipped_policy_leaves_no_secret",
        "acceptance/test_nomad_credentials.py::test_keys_are_renewed_amid_a_batch_and_stay_nowhere",
        "faults/test_secrets.py::test_no_secret_is_left_or_shown_by_a_whole_batch",
        "faults/test_secrets.py::test_a_batch_that_succeeded_keeps_no_secret_at_all",
        "unit/test_mask.py::test_every_form_is_masked",
        "unit/test_mask.py::test_no_secret_survives_between_two_pieces",
        "unit/test_secret.py::test_nothing_shows_it",
        "unit/test_addresses.py::test_the_ledger_holds_no_secret_and_the_items_come_back_whole",
    ),
    _fault(
        53,
        "A reference shorter than the hypothesis, or the other way round",
        "The input is bad, with both counts; no score is made up",
        "unit/test_scoring.py::test_line_counts",
        "unit/test_metrics.py::test_as_many_hypotheses_as_references",
        "unit/test_select_items.py::test_texts_that_are_not_as_long_as_the_item_says",
    ),
    _fault(
        54,
        "An outcome that is half, empty, of another item or attempt, or lies about sizes",
        "It counts as not there; no verdict follows from it",
        f"{_DRIVER}::test_an_outcome_that_lies_is_not_believed",
        f"{_VERDICTS}::test_half_an_outcome_is_none",
        f"{_VERDICTS}::test_an_outcome_of_another_attempt_is_told_apart",
        f"{_VERDICTS}::test_sizes_that_do_not_fit",
    ),
    _fault(
        55,
        "An environment without HOME, terminal, locale, room for files or a folder to write in",
        "It works, or says what it lacks",
        "acceptance/test_verbs.py::test_a_reader_that_goes_away_stops_nothing",
        "integration/test_fetch.py::test_a_folder_that_cannot_be_written_is_named",
        "faults/test_bare_environments.py::test_no_home_no_terminal_and_no_user",
        "faults/test_bare_environments.py::test_any_locale",
        "faults/test_bare_environments.py::test_a_folder_that_cannot_be_written",
        "faults/test_bare_environments.py::test_few_file_descriptors",
        "faults/test_bare_environments.py::test_an_open_umask_opens_nothing_that_matters",
        "faults/test_bare_environments.py::test_closed_streams_write_into_nothing_else",
    ),
    _fault(
        56,
        "Ctrl-C, once and twice, SIGTERM, SIGHUP, a power cut",
        "It says how to go on, ends with 130 or 3, and loses nothing",
        "acceptance/test_signals.py::test_the_first_interrupt_waits_for_what_runs",
        "acceptance/test_signals.py::test_the_second_interrupt_leaves_at_once",
        "acceptance/test_signals.py::test_a_hang_up_and_a_termination_let_jobs_run_on",
        f"{_LOCAL_FAULTS}::test_a_job_from_before_a_restart_of_the_machine_is_lost",
        "faults/test_killed_anywhere.py"
        "::test_a_power_cut_takes_the_jobs_too_and_costs_an_attempt_at_most",
    ),
    _fault(
        57,
        "purge, stop and resubmit are killed, repeated, and run at once",
        "Each does its work once, on jobs of its own batch",
        "faults/test_purge_stop_resubmit.py"
        "::test_a_purge_is_done_once_however_often_it_is_asked_for",
        "faults/test_purge_stop_resubmit.py"
        "::test_stops_and_resubmits_that_are_killed_and_repeated_lose_and_double_nothing",
        "acceptance/test_after_the_run.py::test_purge_takes_finished_jobs_of_its_own_batch",
    ),
)


def table() -> str:
    """All rows in Markdown."""
    lines = ["| # | What goes wrong | What holds | Shown by |", "|---|---|---|---|"]
    return "\n".join(lines + [_row(fault) for fault in FAULTS])


def _row(fault: Fault) -> str:
    shown = [_named(test) for test in fault.tests]
    if fault.left_out:
        shown.append(f"*not shown: {fault.left_out}*" if shown else f"*{fault.left_out}*")
    return f"| {fault.number} | {fault.title} | {fault.holds} | {'<br>'.join(shown)} |"


def _named(test: Shown) -> str:
    """With a link to its file, as seen from `docs/`."""
    path = test.node.partition("::")[0]
    soak = " (soak)" if test.is_soak else ""
    return f"[{test.name}](../tests/{path}){soak}"


if __name__ == "__main__":
    sys.path.append("local-cluster")  # as pytest does
    print(table())
