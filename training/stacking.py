"""Stacking: levels of a continuum memory system come one by one, each with what the one before it had learned."""

from torch import nn

from training.model import Block, ByteModel


def push_levels(model: ByteModel, step: int, total_steps: int) -> list[nn.Parameter]:
    """Let the levels come that the step after `step` done ones is the first to have -> the weights handed on."""
    handed: list[nn.Parameter] = []
    if model.continuum is None or step == 0:
        return handed
    for block in model.blocks:
        assert isinstance(block, Block)
        if block.levels is None:
            continue
        depth = 1 + len(block.levels.slower)
        before, now = (model.continuum.present(depth, at, total_steps) for at in (step - 1, step))
        for level in range(before, now):
            block.levels.push(level, block.up.weight, block.down.weight)
            source = [block.up, block.down] if level == 1 else [block.levels.slower[level - 2]]
            handed += [weight for module in source for weight in module.parameters()]
    return handed
