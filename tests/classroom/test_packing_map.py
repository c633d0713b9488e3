"""The picture of the packing mask shows what the mask says: who sees whom, and where the loss counts."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instit_lite.classroom.packing_map import draw_packing
from instit_lite.training.packing import IGNORE, Branch, multi_turn, shared_prefix, visible


@pytest.mark.parametrize("pack", [shared_prefix, multi_turn])
@settings(max_examples=8, deadline=None)
@given(prefix=st.integers(1, 8), lengths=st.lists(st.integers(2, 5), min_size=1, max_size=4))
def test_a_cell_is_white_exactly_where_nothing_is_seen(pack, prefix, lengths):
    row = pack(list(range(prefix)), [Branch(tuple(range(n)), 1) for n in lengths])
    fig = draw_packing(row, {"picture": prefix} | {f"Q{k}": n for k, n in enumerate(lengths)}, "a title")
    (axis,) = fig.axes
    shown = np.asarray(axis.images[0].get_array())
    assert np.array_equal((shown < 1).any(-1), visible(row.segments).numpy())
    assert len({tuple(cell) for cell in shown[shown.min(-1) < 1]}) == 1 + len(lengths)
    dots = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "o"]
    assert dots == [i for i, label in enumerate(row.labels.tolist()) if label != IGNORE]
    assert [text.get_text() for text in axis.texts] == [str(p) for p in row.position_ids.tolist()]
    plt.close(fig)
