"""Memory as context: a segment attends to what the memory recalls for it, and the memory learns what came of it.

The printed form leaks: a plain causal mask over [P, h, S] lets position t see what was recalled for later positions,
and a second read after the segment's update has absorbed later tokens. Here position t sees h of positions up to t
only, and the second read is one of READS.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.attention import Cache, attend_context
from training.compositions import Composition, Persistent, WindowAttention
from training.memory import Carried as MemoryCarried
from training.memory import Memory
from training.recipe import Recipe, Scalar
from training.rules import rule_of

about = {
    "help": "attention over a segment and what the memory recalls for it; the memory learns the result",
    "source": "Behrouz, Zhong, Mirrokni 2025, arXiv:2501.00663, section 4.1",
    "combines": {"rule": ["*"]},
    "fields": {
        "persistent": {"default": 4, "min": 0, "max": 16, "help": "learned tokens that attention always sees"},
        "segment": {"default": 64, "min": 2, "max": 4096, "help": "bytes of a segment, counted from a text's start"},
        "read": {
            "default": "token",
            "choices": ["token", "segment_start"],
            "help": "state of the second read: with the token itself written, or as it was before the segment",
        },
        "summaries": {
            "default": 0,
            "min": 0,
            "max": 64,
            "help": "learned queries whose recall every position of a segment sees; 0 recalls for each position",
            "later": True,
        },
    },
}

OPEN = 2.0
"""Bias of the gate: sigmoid(2) = 0.88, so that attention passes nearly whole at the start."""


class Context(NamedTuple):
    """Keys and values of the current segment so far: what was recalled for its positions (if it was), and its own."""

    recalled: Cache | None
    own: Cache


class Carried(NamedTuple):
    """The memory before the current segment (None: empty), the memory now, the segment so far (None: at its start)."""

    start: MemoryCarried | None
    memory: MemoryCarried | None
    context: Context | None


class Mac(Composition):
    """W_o (N_1(y) * sigmoid(N_2(M(y)) + OPEN)); in each segment S, y = attention([P, h, S]) and h = M_before(q(S)).

    M has learned y where it is read the second time, token by token, or is still M_before: `read` says which.
    Attention also keeps to the window. N is an RMS norm with a learned gain. With summaries h is M_before(Q), Q learned
    queries: it depends on no token of S, so all of S sees all of it, without position.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        options = recipe.option("mac")
        self.rule_name, self.segment, self.read = recipe.rule, int(options["segment"]), str(options["read"])
        self.attention = WindowAttention(recipe.width, recipe.heads, recipe.window)
        self.memory = Memory(recipe.width, recipe.heads, rule_of(recipe))
        self.attention_gain = nn.Parameter(torch.ones(recipe.width))
        self.memory_gain = nn.Parameter(torch.ones(recipe.width))
        self.gate_bias = nn.Parameter(torch.full((recipe.width,), OPEN))
        self.persistent = Persistent(int(options["persistent"]), recipe.width)
        self.summaries = int(options["summaries"])
        if self.summaries:
            self.queries = nn.Parameter(torch.randn(self.summaries, recipe.width))
        self.out = nn.Linear(recipe.width, recipe.width, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, x_BTD: Tensor, carried: Carried | None) -> tuple[Tensor, Carried]:
        """Go through the text segment by segment; a segment may have begun in an earlier call."""
        carried = Carried(None, None, None) if carried is None else carried
        done = carried.context.own.keys.shape[2] if carried.context is not None else 0
        cuts = range(self.segment - done, x_BTD.shape[1], self.segment)
        outputs = []
        for part_BTD in torch.tensor_split(x_BTD, list(cuts), dim=1):
            y_BTD, carried = self.part(part_BTD, carried)
            outputs.append(y_BTD)
        return self.out(torch.cat(outputs, dim=1)), carried

    def part(self, x_BTD: Tensor, carried: Carried) -> tuple[Tensor, Carried]:
        """The next tokens of one segment."""
        y_BTD, context = self.attend(x_BTD, carried)
        z_BTD, memory = self.memory(y_BTD, carried.memory)
        if self.read == "segment_start":
            z_BTD = self.memory.recall(y_BTD, carried.start)
        D = x_BTD.shape[-1:]
        gate_BTD = torch.sigmoid(functional.rms_norm(z_BTD, D, self.memory_gain) + self.gate_bias)
        gated_BTD = functional.rms_norm(y_BTD, D, self.attention_gain) * gate_BTD
        ended = context.own.keys.shape[2] == self.segment
        return gated_BTD, Carried(memory, memory, None) if ended else Carried(carried.start, memory, context)

    def attend(self, x_BTD: Tensor, carried: Carried) -> tuple[Tensor, Context]:
        """Attention of the tokens over persistent tokens, what was recalled up to each, and the segment up to each."""
        q, *projected = self.attention.project(x_BTD)
        own, recalled = Cache(*projected), None
        if not self.summaries:
            recalled = Cache(*self.attention.project(self.memory.recall(x_BTD, carried.start))[1:])
        if carried.context is not None:
            own = joined(carried.context.own, own)
            recalled = joined(carried.context.recalled, recalled) if recalled and carried.context.recalled else None
        prefix_BPD = self.prefix(len(x_BTD), carried)
        prefix = Cache(*self.attention.project(prefix_BPD)[1:]) if prefix_BPD is not None else None
        y_BHTV = attend_context(q, recalled, own, self.attention.window, prefix)
        return y_BHTV.transpose(1, 2).reshape(x_BTD.shape), Context(recalled, own)

    def prefix(self, rows: int, carried: Carried) -> Tensor | None:
        """What every position sees: persistent tokens, and summaries of the memory before the segment; [B, P, D]."""
        tokens_BPD: Tensor | None = self.persistent(rows)
        if not self.summaries:
            return tokens_BPD
        h_BPD = self.memory.recall(self.queries.expand(rows, -1, -1), carried.start)
        return h_BPD if tokens_BPD is None else torch.cat([tokens_BPD, h_BPD], dim=1)

    def echo(self) -> Mapping[str, Scalar]:
        """The recipe fields that this module was built with."""
        rule = self.memory.rule.echo(self.rule_name)
        heads, window = self.attention.heads, self.attention.window
        own: dict[str, Scalar] = {
            "mac.persistent": self.persistent.count,
            "mac.segment": self.segment,
            "mac.read": self.read,
            "mac.summaries": self.summaries,
        }
        return {"composition": "mac", **rule, "heads": heads, "window": window, **own}


def joined(one: Cache, other: Cache) -> Cache:
    """The positions of one and then those of the other."""
    return Cache(torch.cat([one.keys, other.keys], 2), torch.cat([one.values, other.values], 2))


mac = Mac
