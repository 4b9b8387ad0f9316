"""What :meth:`martlet.Model.check` found."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, NamedTuple

from . import _abi, _arguments
from ._handle import Owner
from ._library import library
from ._tensors import text_of
from ._words import in_python_text
from .functional import LOSSES
from .optimizers import Optimizer, as_rule
from .training import Trainer

if TYPE_CHECKING:
    from ._array import Described
    from .optimizers import Rule

_SEVERITIES = {_abi.SEVERITY_NOTE: "note", _abi.SEVERITY_WARNING: "warning", _abi.SEVERITY_ERROR: "error"}


class Finding(NamedTuple):
    """One thing that a check found."""

    #: What programs may tell findings apart by; it does not change: ``"dropout_before_batch_norm"``.
    code: str
    #: ``"error"`` (a training step will be refused, or results are not numbers), ``"warning"`` or ``"note"``.
    severity: str
    #: The layer's name; None where it is not one layer's.
    layer: str | None
    #: What was found, with its numbers.
    message: str
    #: What to do.
    advice: str
    #: The number that made it a finding, as ``docs/checking.md`` says for each code; NaN where there is none.
    value: float
    #: The channels it is about, worst first.
    channels: list[int]


class Findings(list[Finding]):
    """Findings: errors first, then warnings, then notes. ``print`` shows them with their advice."""

    def __init__(self, findings: list[Finding], text: str) -> None:
        super().__init__(findings)
        self._text = text

    @property
    def codes(self) -> list[str]:
        """The code of each."""
        return [finding.code for finding in self]

    def __str__(self) -> str:
        return self._text


def check(
    model: Owner,
    inputs: Described | None,
    targets: Described | None,
    loss: str,
    batch_size: int | None,
    optimizer: Rule | Optimizer | Trainer | str | None,
) -> Findings:
    """Calls the library, and reads all that its object says."""
    loaded = library()
    options = _abi.sized(
        _abi.martlet_check_options,
        batch_size=0 if batch_size is None else _arguments.integer(batch_size, "batch_size", 1),
        loss=_arguments.one_of(loss, "loss", LOSSES),
    )
    if targets is not None:
        options.targets, options.target_count = targets.pointer(), len(targets)
    if optimizer is not None:
        rule = optimizer.rule if isinstance(optimizer, (Optimizer, Trainer)) else optimizer
        options.optimizer = ctypes.pointer(as_rule(rule)._struct())
    out = ctypes.POINTER(_abi.martlet_findings)()
    count = 0 if inputs is None else len(inputs)
    loaded.martlet_model_check(ctypes.byref(out), model, inputs, count, ctypes.byref(options))
    owner = Owner(out, loaded.martlet_findings_destroy)
    found = []
    info = _abi.sized(_abi.martlet_finding)
    for index in range(loaded.martlet_findings_count(owner)):
        loaded.martlet_findings_at(owner, index, ctypes.byref(info))
        found.append(
            Finding(
                info.code.decode(),
                _SEVERITIES[info.severity],
                info.layer.decode() or None,
                info.message.decode(),
                in_python_text(info.advice.decode()),
                info.value,
                info.channels[: info.channel_count] if info.channel_count else [],
            )
        )
    return Findings(found, in_python_text(text_of(loaded.martlet_findings_text, owner)))
