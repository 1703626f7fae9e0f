"""The base of every settings class: frozen, and unknown keys are refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Validated settings; a misspelt key is an error rather than silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
