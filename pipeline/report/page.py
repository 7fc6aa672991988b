"""The report (a placeholder until the page is written)."""

from __future__ import annotations

from typing import Any


def render(manifest: dict[str, Any], read: Any) -> str:
    return "<html></html>"
