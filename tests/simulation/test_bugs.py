"""Known bugs, put in by hand: the seeds of `make test` find each of them.

`python -m tests.simulation bugs` counts in how many.
"""

import pytest

from tests.simulation.bugs import BUGS, Bug
from tests.simulation.hunt import found_by
from tests.simulation.test_seeds import ITEMS, SEEDS

# A seed that finds it, tried before all others: where the plans have changed, it may be another.
FIRST = {
    "confirm_before_claim": 0,
    "trust_the_id_of_a_repeated_dispatch": 68,
    "trust_what_nomad_answers": 39,
    "take_a_dead_job_for_an_ended_one": 61,
    "count_a_stopped_job_as_success": 0,
    "purge_before_the_log_is_home": 0,
    "retry_without_a_new_token": 0,
    "forget_the_pause_at_a_resume": 3,
    "forget_a_pause_that_somebody_asked_for_at_a_resume": 4,
    "take_no_answer_for_a_refusal": 3,
    "believe_any_outcome": 9,
    "compare_no_sizes": 1,
    "forget_why_a_job_was_stopped": 86,
    "take_silence_for_an_end": 9,
    "start_one_too_many": 0,
    "publish_when_the_ledger_is_told": 3,
    "leave_scores_beside_newer_translations": 0,
    "wait_for_what_nomad_left_unknown": 169,
    "let_others_go_with_the_canaries": 7,
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_the_seeds_find_the_bug(bug: Bug) -> None:
    seeds = [FIRST[bug.__name__], *range(SEEDS)]
    assert found_by(bug, seeds, ITEMS, enough=1), (
        f"no seed of {SEEDS} finds it: the simulation has to become better"
    )
