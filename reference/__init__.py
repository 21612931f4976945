"""The executable specification: vx32 in plain Python. It needs the standard library and nothing else."""
