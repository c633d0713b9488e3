"""Where to post, and may we. In: an address, a switch, a key. Out: a checked address and key, or a refusal.

Nothing leaves this machine without `online=True`; keys come from the environment and are never shown.
"""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

from ..errors import EndpointError, OfflineRefused

OFFICIAL = "https://api.openai.com/v1"
KEY_NAME = "OPENAI_API_KEY"
LOOPBACK_KEY = "loopback"  # a loopback server that checks no key still wants one in the header


def choose_address(base_url: str | None, online: bool) -> str:
    """Return the address to post to: `base_url`, else `$OPENAI_BASE_URL`, else OpenAI's own.

    Raises `OfflineRefused` for an address outside this machine unless `online`.
    """
    address = base_url or os.environ.get("OPENAI_BASE_URL") or OFFICIAL
    try:
        parts = urlsplit(address)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        well_formed = False
    if not well_formed:
        raise EndpointError(
            "is not an http address", path=address, cure="write it as http://127.0.0.1:8000/v1"
        )
    if not online and not is_loopback(address):
        raise OfflineRefused(
            "frames would be sent outside this machine",
            path=parts.hostname,
            cure="say online=True if that is what you want, or use the simulated server",
        )
    return address.rstrip("/")


def is_loopback(address: str) -> bool:
    """Tell whether an address stays on this machine, judged by its host alone, without a look-up."""
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def choose_key(api_key: str | None, address: str) -> str:
    """Return the key: `api_key`, else the environment's; an endpoint on this machine may go without.

    Raises `OfflineRefused` where an endpoint elsewhere has no key, `EndpointError` for one that does not fit
    into a header.
    """
    key = api_key if api_key is not None else os.environ.get(KEY_NAME, "")
    if not key.strip():
        if is_loopback(address):
            return LOOPBACK_KEY
        raise OfflineRefused(
            "there is no API key", path=urlsplit(address).hostname, cure=f"set {KEY_NAME} in the environment"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise EndpointError(
            "the API key holds a space, a line break or a foreign letter",
            path=urlsplit(address).hostname,
            cure=f"set {KEY_NAME} again, without quotes or line breaks",
        )
    return key


def place_of_address(address: str) -> str:
    """Return an address as the ledger knows it: a loopback port, new at every start, does not count."""
    parts = urlsplit(address)
    if is_loopback(address):
        return f"loopback{parts.path}"
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"
