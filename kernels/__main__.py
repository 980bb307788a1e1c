"""`python -m fastmlp.kernels build` compiles the kernels in advance."""

import sys

from .build import main

if __name__ == "__main__":
    sys.exit(main())
