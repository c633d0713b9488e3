"""What holds for every test: no network, no display, and generated things in a folder that goes away."""

from __future__ import annotations

import os
import socket

import pytest

os.environ["MPLBACKEND"] = "Agg"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("OPENAI_API_KEY", None)

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@pytest.fixture(autouse=True, scope="session")
def _build_elsewhere(tmp_path_factory):
    """Keep what tests generate out of the checkout's build folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSTIT_BUILD", str(tmp_path_factory.mktemp("build")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _loopback_only():
    """Refuse every connection that would leave this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            raise AssertionError(f"a test tried to connect to {address[0]}")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield
