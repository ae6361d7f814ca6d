"""Other fault injectors on the same network, data, faults and machine, in one run.

``make bench-peers`` makes an environment of its own for PyTorchFI 0.6.0 (NCSA licence) and MRFI
2.1.0 (MIT), which are run as their documents tell; results are in ``benchmarks/results/peers.md``.
"""
