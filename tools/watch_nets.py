"""Nets beside torch's own recurrent layers: a cell written out step by step, and one of convolutions.

Both are called as torch's layers are: frames (T, B, features) and a state give outputs (T, B, units) and the new state.
"""

from __future__ import annotations

import torch


class FastGrnn(torch.nn.Module):
    """FastGRNN: one matrix for gate and candidate, and two numbers that weigh the candidate.

    ``z = sigmoid(W x + U h + b_z)``, ``n = tanh(W x + U h + b_n)``, ``h' = (zeta (1 - z) + nu) n + z h``. Source:
    Kusupati et al., "FastGRNN: A fast, accurate, stable and tiny kilobyte sized gated recurrent neural network", 2018.
    """

    def __init__(self, features: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.W = torch.nn.Linear(features, units, bias=False)
        self.U = torch.nn.Linear(units, units, bias=False)
        self.gate_bias = torch.nn.Parameter(torch.ones(units))
        self.candidate_bias = torch.nn.Parameter(torch.zeros(units))
        self.zeta = torch.nn.Parameter(torch.tensor(1.0))  # before the sigmoid that keeps it within (0, 1)
        self.nu = torch.nn.Parameter(torch.tensor(-8.0))  # larger ones let the state drift in streams that have no end

    def step(self, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """The new state of one step, (B, units), with zeta and nu as the numbers that they are now."""
        return self._advance(self.W(x), h, self.zeta.sigmoid().item(), self.nu.sigmoid().item())

    def _advance(
        self, from_x: torch.Tensor, h: torch.Tensor, zeta: torch.Tensor | float, nu: torch.Tensor | float
    ) -> torch.Tensor:
        p = from_x + self.U(h)
        z = torch.sigmoid(p + self.gate_bias)
        n = torch.tanh(p + self.candidate_bias)
        return (zeta * (1.0 - z) + nu) * n + z * h

    def forward(self, x: torch.Tensor, state: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """All steps of x (T, B, features)."""
        h = x.new_zeros(x.shape[1], self.units) if state is None else state
        zeta, nu = self.zeta.sigmoid(), self.nu.sigmoid()
        outputs = []
        for from_x in self.W(x):
            h = self._advance(from_x, h, zeta, nu)
            outputs.append(h)
        return torch.stack(outputs), h


class Tcn(torch.nn.Module):
    """Temporal convolutions, all causal: one from the features to the units, then residual blocks.

    A block is a depthwise convolution whose dilation doubles from block to block, a ReLU, and a product over the units.
    """

    KERNEL = 3
    DILATIONS = (1, 2, 4, 8, 16, 32)

    def __init__(self, features: int, units: int) -> None:
        super().__init__()
        self.first = torch.nn.Conv1d(features, units, self.KERNEL)
        self.depthwise = torch.nn.ModuleList(
            torch.nn.Conv1d(units, units, self.KERNEL, groups=units, dilation=dilation) for dilation in self.DILATIONS
        )
        self.pointwise = torch.nn.ModuleList(torch.nn.Conv1d(units, units, 1) for _ in self.DILATIONS)
        self.memory_steps = (self.KERNEL - 1) * (1 + sum(self.DILATIONS))  # that a frame looks back

    def forward(self, x: torch.Tensor, state: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """All steps of x (T, B, features); the state is the last frames."""
        frames = x if state is None else torch.cat([state, x])
        y = torch.relu(self._causal(self.first, frames.permute(1, 2, 0)))  # (B, units, T)
        for depthwise, pointwise in zip(self.depthwise, self.pointwise, strict=True):
            y = y + torch.relu(pointwise(torch.relu(self._causal(depthwise, y))))
        return y.permute(2, 0, 1)[len(frames) - len(x) :], frames[-self.memory_steps :]

    def _causal(self, convolution: torch.nn.Conv1d, x: torch.Tensor) -> torch.Tensor:
        return convolution(torch.nn.functional.pad(x, ((self.KERNEL - 1) * convolution.dilation[0], 0)))
