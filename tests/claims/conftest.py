"""A room in which every claim is measured at a tiny size, once for all tests of this folder."""

import shutil
from dataclasses import replace

import pytest

from instit_lite.claims.arms import base_folders
from instit_lite.claims.room import Room
from instit_lite.claims.run import measure_here
from instit_lite.model.load import MICRO_FOLDER
from instit_lite.profiles import build_dir, get_profile

TINY = replace(get_profile("smoke"), n_clips=2, n_images=2, n_general=4, sft_steps=2, sft_batch=2, n_bench=8)


@pytest.fixture(scope="session")
def build_of_all(tmp_path_factory):
    return tmp_path_factory.mktemp("claims")


@pytest.fixture(scope="module")
def own_build(build_of_all):
    """A build folder in which the shipped base stands in for those that `make pretrain` leaves.

    One for all modules, so that what one measured is there for the next; no other room's tests see it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSTIT_BUILD", str(build_of_all))
        for name in ("large", "earlier"):
            shutil.copytree(MICRO_FOLDER, base_folders()[name][0], dirs_exist_ok=True)
        yield


@pytest.fixture(scope="module")
def room(own_build):
    return Room(TINY, build_dir("claims", "tiny"), seeds=1)


@pytest.fixture(scope="module")
def ledger(room):
    return measure_here(room, None, say=lambda line: None)
