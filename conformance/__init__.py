"""Agreement: oracles, generators, campaigns and demonstrations that hold the engines to one behaviour."""
