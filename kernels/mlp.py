"""The MLP of a block: y = relu(n U^T)^2 W^T of the RMS-normed n = x / rms(x)."""

from torch import Tensor
from torch.nn import functional


def mlp(x_ND: Tensor, up_FD: Tensor, down_DF: Tensor) -> Tensor:
    """The plain definition -> [N, D]."""
    hidden_NF = functional.relu(functional.linear(functional.rms_norm(x_ND, x_ND.shape[-1:]), up_FD))
    return functional.linear(hidden_NF * hidden_NF, down_DF)
