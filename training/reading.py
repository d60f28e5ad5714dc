"""Reading: what linear maps do to their input before they multiply it. Nothing, unless activations have a format."""

from collections.abc import Callable

from torch import Tensor, nn

Read = Callable[[Tensor], Tensor]

READING = "reading"
"""The attribute of modules that multiply by a matrix without an `nn.Linear`: what they read it through."""


def as_is(x: Tensor) -> Tensor:
    """The values themselves."""
    return x


def attach(model: nn.Module, read: Read) -> None:
    """Let every linear map of the model read its input through `read`; in copies of the model too, through the same."""

    def through(x: Tensor) -> Tensor:
        return read(x)

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (read(inputs[0]), *inputs[1:])

    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(before)
        elif hasattr(module, READING):
            setattr(module, READING, through)
