"""What an API server serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from planebench.kube.client import ApiError, Client


async def served(client: Client) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
    """Every resource of the core API and of each group's preferred version: its root's path, and its APIResource.

    Raises ApiError where the groups cannot be listed.
    """
    groups = (await client.get("/apis"))["groups"]
    for root in ("/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)):
        try:
            found = (await client.get(root))["resources"]
        except ApiError:
            continue  # an aggregated API whose server is gone
        for item in found:
            yield root, item
