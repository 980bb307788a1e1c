"""One fit, as Python sees it: the network, its memory, the threads and the calls of the kernels."""
