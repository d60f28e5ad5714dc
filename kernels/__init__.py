"""Kernels: number formats, and Triton kernels each beside its plain PyTorch definition."""
