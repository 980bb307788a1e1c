"""The training engine: the network, its memory, the threads and the calls of the kernels."""
