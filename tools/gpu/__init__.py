"""The check of a GPU, of which tools/gpu_check is the command."""
