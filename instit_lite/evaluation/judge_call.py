"""The one place where a judge meets the annotation client. In: a text, a schema. Out: the parsed reply, who gave it."""

from __future__ import annotations

import json
from pathlib import Path

from ..annotation.client import Client, Form


def connect(base_url: str | None, model: str, ledger: Path | None, online: bool = False, **settings) -> Client:
    """A client that asks at temperature 0 and keeps its replies; `settings` and errors as `Client.connect`."""
    return Client.connect(base_url, model, ledger, online, temperature=0.0, **settings)


def ask_as(client: Client, kind: str, system: str, text: str, schema: type[Form]) -> tuple[Form, dict]:
    """Ask once, or take the reply from the ledger; return it with the model's own name, fingerprint and time.

    Raises what `Client.ask` raises.
    """
    parsed = client.ask(kind, system, [text], schema)
    request = client.request(kind, system, [text], schema)
    body = json.loads(client.ledger.get(client.key_of(request)))
    said = {name: body.get(name) for name in ("model", "system_fingerprint", "created")}
    return parsed, {"endpoint": client.address, "temperature": client.temperature} | said
