"""The parts of a run: what is measured, beside the peers and alone."""
