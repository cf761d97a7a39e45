"""What readers of a record rely on in its spec and environment: each part of the right type, null, or not there.

A spec holds whatever its cell was made of; an older or newer version may have other parts, which are no matter here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

Size = list[int]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Budget(_Part):
    like: str | None = None


class _Window(_Part):
    size: Size | None = None
    stride: Size | None = None


class _Protocol(_Part):
    budget: _Budget | None = None
    batch_size: int | None = None
    precision: str | None = None
    tf32: bool | None = None
    compile: bool | None = None
    deterministic: bool | None = None
    threads: int | None = None
    evaluate: str | None = None
    window: _Window | None = None


class _Placebo(_Part):
    placebo: str | None = None


class _Refines(_Part):
    method: str | None = None


class _Method(_Part):
    protocol: _Protocol | None = None
    overrides: list[str] | None = None
    against: list[str] | None = None
    labels: list[float] | None = None
    twin: str | None = None
    trial_of: str | None = None
    placebo_of: str | None = None
    dose_of: str | None = None
    adversarial: _Placebo | None = None
    refines: _Refines | None = None


class _Dataset(_Part):
    fingerprint: str | None = None


class _Origin(_Part):
    given: str | None = None
    sets: list[str] | None = None
    comment: str | None = None


class _Spec(_Part):
    fingerprint: str | None = None
    dataset: _Dataset | None = None
    method: _Method | None = None
    sources: dict[str, str] | None = None
    versions: dict[str, str] | None = None
    scored: bool | None = None
    for_tuning: bool | None = None
    origin: _Origin | None = None


class _Environment(_Part):
    device: str | None = None
    device_name: str | None = None
    cpu: str | None = None
    threads: int | None = None
    jobs: int | None = None
    machine: str | None = None
    started: str | None = None
    segbench: str | None = None
    commit: str | None = None
    torch: str | None = None


class _Read(_Part):
    spec: _Spec
    environment: _Environment


def check_parts(spec: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
    """Raise pydantic's ValidationError for the first part that is of another type than readers rely on."""
    _Read.model_validate({"spec": spec, "environment": environment})
