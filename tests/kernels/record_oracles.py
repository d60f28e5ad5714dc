"""Ask the public implementations once and store digests of what they answer: python -m tests.kernels.record_oracles.

The packages are heavy, or need a C compiler, so no test imports them: pip install softposit==0.3.4.4, and with
--no-deps torchao==0.18.0 bitsandbytes==0.50.2.
"""

import json

import torch

from tests.kernels.numbers import DIGESTS, MICRO, POSITS, blocks, digest, spread


def posits():
    """softposit, by its functions for every size and those for the parameters of before the standard."""
    import softposit

    def sized(n):
        return lambda x: softposit.convertPX2ToDouble(softposit.convertDoubleToPX2(x, n))

    forms = {
        "posit8": sized(8),
        "posit16": sized(16),
        "posit32": sized(32),
        "posit8_es0": lambda x: softposit.convertP8ToDouble(softposit.convertDoubleToP8(x)),
        "posit16_es1": lambda x: softposit.convertP16ToDouble(softposit.convertDoubleToP16(x)),
    }
    for name, count in POSITS.items():
        x = spread(count, 7)
        yield name, torch.tensor([forms[name](value) for value in x.tolist()], dtype=torch.float64)


def micro():
    """torchao, every element and way to choose a scale, and NVFP4 of two levels."""
    from torchao.prototype.mx_formats.constants import DTYPE_FP6_E2M3, DTYPE_FP6_E3M2
    from torchao.prototype.mx_formats.mx_tensor import MXTensor, ScaleCalculationMode
    from torchao.prototype.mx_formats.nvfp4_tensor import NVFP4Tensor

    elements = (torch.float8_e4m3fn, torch.float8_e5m2, DTYPE_FP6_E3M2, DTYPE_FP6_E2M3, torch.float4_e2m1fn_x2)
    for mode in ScaleCalculationMode:
        for name, element in zip(MICRO, elements, strict=True):
            found = MXTensor.to_mx(blocks(), element, block_size=32, scaling_mode=mode).dequantize(torch.float32)
            yield name if mode.value == "floor" else f"{name}_{mode.value}", found
    x = blocks(6)[:1024]
    level = x.abs().amax() / (448 * 6)
    yield "nvfp4", NVFP4Tensor.to_nvfp4(x, per_tensor_scale=level).dequantize(torch.float32)


def quantiles():
    """bitsandbytes, blocks of 64."""
    from bitsandbytes import functional

    codes, state = functional.quantize_4bit(blocks().flatten(), blocksize=64, quant_type="nf4")
    yield "nf4", functional.dequantize_4bit(codes, state).reshape(blocks().shape)


if __name__ == "__main__":
    found = {name: digest(y) for oracle in (posits, micro, quantiles) for name, y in oracle()}
    DIGESTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
