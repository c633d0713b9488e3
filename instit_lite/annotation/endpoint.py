"""Where to post, and may we. In: an address, a switch, a key. Out: a checked address and key, or a refusal.

Nothing leaves this machine without `online=True`; keys come from the environment and are never shown.
"""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

from pydantic import HttpUrl

from ..errors import EndpointError, OfflineRefused

OFFICIAL = "https://api.openai.com/v1"
KEY_NAME = "OPENAI_API_KEY"
LOOPBACK_KEY = "loopback"  # a loopback server that checks no key still wants one in the header


def choose_address(base_url: str | None, online: bool) -> str:
    """Return the address to post to: `base_url`, else `$OPENAI_BASE_URL`, else OpenAI's own.

    Raises `EndpointError` for what is no address, `OfflineRefused` for one elsewhere unless `online`.
    """
    address = base_url or os.environ.get("OPENAI_BASE_URL") or OFFICIAL
    try:
        HttpUrl(address)
    except ValueError:
        cure = "write it as http://127.0.0.1:8000/v1"
        raise EndpointError("is not an http address", path=address, cure=cure) from None
    if not online and not is_loopback(address):
        cure = "say online=True if that is what you want, or use the simulated server"
        host = urlsplit(address).hostname
        raise OfflineRefused("frames would be sent outside this machine", path=host, cure=cure)
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

    Raises `OfflineRefused` where there is none, `EndpointError` where it does not fit into a header.
    """
    key = api_key if api_key is not None else os.environ.get(KEY_NAME, "")
    host = urlsplit(address).hostname
    if not key.strip() and is_loopback(address):
        return LOOPBACK_KEY
    if not key.strip():
        raise OfflineRefused("there is no API key", path=host, cure=f"set {KEY_NAME} in the environment")
    if not key.isascii() or not key.isprintable() or " " in key:
        reason = "the API key holds a space, a line break or a foreign letter"
        raise EndpointError(reason, path=host, cure=f"set {KEY_NAME} again, without quotes or line breaks")
    return key


def place_of_address(address: str) -> str:
    """Return an address as the ledger knows it: a loopback port, new at every start, does not count."""
    parts = urlsplit(address)
    host = "loopback" if is_loopback(address) else parts.netloc.rpartition("@")[2]
    return host + parts.path
