"""The 72 bad inputs: each is read as docs/inputs.md says, or refused with path, reason and cure; none takes 5 seconds."""

from __future__ import annotations

import re
import time
import warnings

import annotations
import pictures
import pytest
import videos
from cases import CASES

from instit_lite.dataset.annotate import Request, instances_of
from instit_lite.errors import InstitError
from instit_lite.marks.detections import check_instances
from instit_lite.marks.reader import read_clip

MAKERS = (pictures, videos, annotations)  # imported for the cases that they register


def read(made):
    """Read a clip, or the instances of a clip; return what `Case.right` looks at."""
    if not isinstance(made, Request):
        return read_clip(made)
    clip, found = instances_of(made)
    check_instances(found, clip.frames)
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case, tmp_path):
    made, began = case.make(tmp_path), time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if case.refused:
            with pytest.raises(InstitError) as refusal:
                read(made)
        else:
            assert case.right(read(made))
    assert time.process_time() - began < 5
    if case.refused:
        assert re.search(case.refused, f"{refusal.value.reason}. {refusal.value.cure}", re.DOTALL)
        assert refusal.value.cure
    said = [str(w.message) for w in caught]
    assert not case.warns or any(re.search(case.warns, line) for line in said), said
