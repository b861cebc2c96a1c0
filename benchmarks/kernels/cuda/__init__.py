"""CUDA programs of the benchmarks, as PTX; ``python -m benchmarks.kernels.cuda`` compiles them."""
