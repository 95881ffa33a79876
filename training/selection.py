"""What a student learns from when nobody says otherwise."""

from __future__ import annotations

from nsdata import Store, View

THRESHOLD = 0.3  # the paper's (Xie et al., CVPR 2020)


def default_view(store: Store, gen: int) -> View:
    """Unlabelled train images of generation ``gen`` with confidence ≥ 0.3, balanced to their mean class size.

    The mean keeps the amount of data: large classes lose their least confident images, small ones are repeated.
    (The paper balances to 130,000 of each class.) Raises GenerationError, EmptyView.
    """
    chosen = store.view(gen=gen).split("train").unlabelled().confident(THRESHOLD).need_rows()
    return chosen.balanced(mean_size(chosen))


def mean_size(chosen: View) -> int:
    """The mean size of the pseudo-classes that a view of a generation's labels has."""
    soft = chosen.soft_labels
    assert soft is not None
    present = len(set(soft.all_pseudo[chosen.rows].tolist()))
    return max(1, len(chosen) // present)
