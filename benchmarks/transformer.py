"""The plain transformer that the engine's models are measured against: full causal attention, nothing else."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.attention import rotate
from training.model import head
from training.ngrams import BEGIN


class Block(nn.Module):
    """x + W_o attention(norm x), then x + down(relu(up norm x)^2): the engine's own block without window and memory."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """One block; attention goes through PyTorch's fused kernel."""
        B, T, D = x_BTD.shape
        normed = functional.rms_norm(x_BTD, (D,))
        q, k, v = self.qkv(normed).view(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        q, k = functional.rms_norm(q, q.shape[-1:]), functional.rms_norm(k, k.shape[-1:])
        y_BHTV = functional.scaled_dot_product_attention(rotate(q, 0), rotate(k, 0), v, is_causal=True)
        x_BTD = x_BTD + self.out(y_BHTV.transpose(1, 2).reshape(B, T, D))
        hidden = functional.relu(self.up(functional.rms_norm(x_BTD, (D,))))
        return x_BTD + self.down(hidden * hidden)


class Transformer(nn.Module):
    """Byte embedding, blocks, head tied to the embedding. ids [B, T] -> logits [B, T, 256]."""

    def __init__(self, width: int, heads: int, blocks: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(BEGIN + 1, width) * width**-0.5)
        self.blocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(blocks))

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Logits of the byte after each id."""
        x_BTD = functional.embedding(ids_BT, self.embedding)
        for block in self.blocks:
            x_BTD = block(x_BTD)
        return head(functional.rms_norm(x_BTD, x_BTD.shape[-1:]), self.embedding[:BEGIN], 15.0)


def transformer_of(weights: int, width: int, heads: int, blocks: int) -> Transformer:
    """The transformer with as near to that many weights as its MLPs allow; the hidden width takes up the difference."""
    bare = (BEGIN + 1) * width + blocks * 4 * width * width
    return Transformer(width, heads, blocks, max(1, round((weights - bare) / (2 * blocks * width))))
