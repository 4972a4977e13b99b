"""CIFAR-10 as NumPy arrays: from files, a cache, a download, or synthetic."""
