"""Number formats and kernels. A Triton kernel stands in `NAME_triton.py` beside its plain definition in `NAME.py`.

Letters in tensor names: N rows (positions), V values of a byte, D model width, F hidden width.
"""
