"""Where to post, and may we. In: an address, a switch, a key. Out: a checked address and a client, or a refusal.

Nothing leaves this machine without `online=True`. Keys come from the environment and are never shown: they travel as
`SecretStr`, so that no traceback holds one, however talkative.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from typing import Any
from urllib.parse import urlsplit

from pydantic import HttpUrl, SecretStr

from ..errors import EndpointError, OfflineRefused

OFFICIAL = "https://api.openai.com/v1"
KEY_NAME = "OPENAI_API_KEY"
LOOPBACK_KEY = "loopback"  # a loopback server that checks no key still wants one in the header
NO_KEY = "none"  # as good as no key
SECRET_LENGTH = 12
TOKENS: dict[int, str] = {}  # by port: what the loopback servers of this process want as a key


def choose_address(base_url: str | None, online: bool) -> str:
    """Return the address to post to: `base_url`, else `$OPENAI_BASE_URL`, else OpenAI's own.

    Raises `EndpointError` for what is no address, `OfflineRefused` for one elsewhere unless `online`.
    """
    address = base_url or os.environ.get("OPENAI_BASE_URL") or OFFICIAL
    try:
        HttpUrl(address)
        parts = urlsplit(address)
    except ValueError:
        cure = "write it as http://127.0.0.1:8000/v1"
        raise EndpointError("is not an http address", path=address[:200], cure=cure) from None
    if "@" in parts.netloc or parts.query:
        cure = f"give the address alone, and the key in {KEY_NAME}"
        raise EndpointError("the address holds a password or a query", path=parts.hostname, cure=cure)
    if not online and not is_loopback(address):
        cure = "say online=True if that is what you want, or use the simulated server"
        raise OfflineRefused("frames would be sent outside this machine", path=parts.hostname, cure=cure)
    return address.rstrip("/")


def is_loopback(address: str) -> bool:
    """Tell whether an address stays on this machine, judged by its host alone, without a look-up."""
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def choose_key(api_key: str | SecretStr | None, address: str) -> SecretStr:
    """Return the key: `api_key`, else the environment's; an endpoint on this machine may go without.

    A loopback server of this very process is known by its token. Raises `OfflineRefused` where there is no key,
    `EndpointError` where it does not fit into a header.
    """
    given = api_key if isinstance(api_key, SecretStr) else SecretStr(NO_KEY if api_key is None else api_key)
    del api_key
    parts = urlsplit(address)
    none = given.get_secret_value().strip() in ("", NO_KEY)
    if none and is_loopback(address) and parts.port in TOKENS:
        return SecretStr(TOKENS[parts.port])
    key = SecretStr(os.environ.get(KEY_NAME, "")) if given.get_secret_value() == NO_KEY else given
    if not key.get_secret_value().strip():
        if is_loopback(address):
            return SecretStr(LOOPBACK_KEY)
        raise OfflineRefused("there is no API key", path=parts.hostname, cure=f"set {KEY_NAME} in the environment")
    if not re.fullmatch(r"[!-~]+", key.get_secret_value()):
        reason = "the API key holds a space, a line break or a foreign letter"
        cure = f"set {KEY_NAME} again, without quotes or line breaks"
        raise EndpointError(reason, path=parts.hostname, cure=cure)
    return key


def open_apis(address: str, key: SecretStr, count: int) -> list[Any]:
    """Return `openai` clients for an address; loopback ones pass by the proxies of the environment.

    Their own retries are off: they would be invisible to the ledger, and would repeat what no repeat can mend.
    Raises `EndpointError` where the environment's proxy or certificates are unusable.
    """
    import httpx2
    import openai

    for library in ("httpcore2", "openai"):  # their debug logs repeat headers, in which an endpoint may repeat the key
        logging.getLogger(library).setLevel(logging.INFO)
    trust = not is_loopback(address)
    given = {"base_url": address, "api_key": key.get_secret_value(), "max_retries": 0}
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=256)
    try:
        certificates = httpx2.create_ssl_context(trust_env=trust)  # slow to read, so once for all
        webs = [openai.DefaultAsyncHttpx2Client(follow_redirects=False, trust_env=trust, limits=limits, verify=certificates)
                for _ in range(count)]  # fmt: skip
        return [openai.AsyncOpenAI(**given, http_client=web) for web in webs]
    except (ImportError, OSError, ValueError) as problem:
        reason = f"the settings for proxy or certificates cannot be used ({str(problem)[:120]})"
    del given  # no traceback shall hold the key
    cure = "look at HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE; a SOCKS proxy needs the package socksio"
    raise EndpointError(reason, path=address, cure=cure)


def scrub(text: str, key: SecretStr) -> str:
    """Return a text without the key, which some endpoints repeat; short placeholders, "EMPTY", are no secrets."""
    secret = key.get_secret_value()
    return text.replace(secret, "***") if len(secret) >= SECRET_LENGTH else text


def place_of_address(address: str) -> str:
    """Return an address as the ledger knows it: a loopback port, new at every start, does not count."""
    parts = urlsplit(address)
    host = "loopback" if is_loopback(address) else parts.netloc.rpartition("@")[2]
    return host + parts.path
