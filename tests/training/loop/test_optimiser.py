"""The optimiser takes PyTorch's steps, to the last bit, without PyTorch's compiler."""

from __future__ import annotations

import subprocess
import sys

import torch

from histodistill.training.loop.optimiser import AdamW


def trained(kind: type[torch.optim.AdamW]) -> tuple[torch.nn.Module, torch.optim.AdamW]:
    """A network after five steps, a state that is written and read, and another step."""
    torch.manual_seed(0)
    network = torch.nn.Linear(30, 4)
    optimiser = kind(network.parameters(), lr=0.01, weight_decay=0.1, fused=True)
    for step in range(6):
        if step == 5:
            optimiser.load_state_dict(optimiser.state_dict())
        optimiser.zero_grad(set_to_none=True)
        network(torch.randn(8, 30)).square().sum().backward()
        optimiser.step()
    return network, optimiser


def test_steps_and_state_are_those_of_pytorch() -> None:
    (ours, own), (theirs, their) = trained(AdamW), trained(torch.optim.AdamW)
    for value, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(value, expected)
        assert value.requires_grad
    state, expected_state = own.state_dict(), their.state_dict()
    assert state["param_groups"] == expected_state["param_groups"]
    for place, moments in expected_state["state"].items():
        assert moments.keys() == state["state"][place].keys()
        assert all(torch.equal(moments[key], state["state"][place][key]) for key in moments)


def test_a_step_imports_no_compiler() -> None:
    program = (
        "import sys, torch\n"
        "from histodistill.training.loop.optimiser import AdamW\n"
        "weight = torch.nn.Parameter(torch.ones(3))\n"
        "optimiser = AdamW([weight], fused=True)\n"
        "optimiser.zero_grad()\n"
        "weight.sum().backward()\n"
        "optimiser.step()\n"
        "optimiser.state_dict()\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
