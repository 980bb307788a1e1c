"""JIT kernels, imported only as `fastmlp.kernels`."""
