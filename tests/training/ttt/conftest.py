import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors on many threads wait for each other more than they compute."""
    torch.set_num_threads(1)
