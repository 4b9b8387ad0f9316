"""Martlet beside its peers: the machine's limits, then every workload, ours and every installed peer in turn.

``python -m benchmarks --help`` in this folder's parent, or ``make bench``; ``docs/benchmarks/README.md`` says how to read it.

``cases`` says what is computed and what the right answer is; ``libraries`` how each library computes it; ``worker`` is the
process that holds one library at one thread count; ``runner`` lets them take turns; ``report`` prints.
"""
