"""Array indices in Slurm's notation."""

from __future__ import annotations

import pytest
from hsm_slurm.arrays import parse_indices, parse_job_id
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.toolkit.indices import show_indices


@given(st.sets(st.integers(0, 5000), min_size=1))
def test_what_is_shown_is_read_back(indices):
    """Any set of indices survives the way to Slurm's notation and back."""
    assert parse_indices(show_indices(indices)) == sorted(indices)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("12", ("12", None)),
        ("12_0", ("12", [0])),
        ("12_[3-6%3]", ("12", [3, 4, 5, 6])),
        ("1_[4-6,8,10-12%3]", ("1", [4, 5, 6, 8, 10, 11, 12])),
        ("2_[0-8:2]", ("2", [0, 2, 4, 6, 8])),
    ],
)
def test_job_ids(text, meaning):
    """A plain job, an element, and what waits of an array, with its step and its throttle."""
    assert parse_job_id(text) == meaning


@pytest.mark.parametrize(
    "text", ["", "x", "12+0", "12_", "12_[", "12_[1-2", "12_[1,2,...]", "12_[0-999999999999]", "-3", "12_[]"]
)
def test_no_job_ids(text):
    """What is cut off, or no id, is an error and no guess."""
    with pytest.raises(ValueError, match=r"array indices|job id"):
        parse_job_id(text)
