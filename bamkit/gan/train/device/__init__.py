"""How a step is computed: precision, compilation, CUDA graphs, several processes."""
