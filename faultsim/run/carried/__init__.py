"""A batch of inferences in one forward pass, each sample with a fault of its own.

A weight's fault is carried by one sample of a batch. Every operator that reads the struck word is
run once more with the bit really flipped, on the operands of the pass or on those of a few samples
where so few were seen to get the bits of the batch, and the sample is given its part of that
result: the numbers that the whole batch would have had with the fault in it, to the last bit. What
follows computes each sample for itself, as it always does. So a carried pass and a pass with the
fault in the model agree bit for bit in the sample, and no decision is left to rounding.

``storage``     struck words, by the memory they lie in
``operators``   operators of a pass, numbered; which of them read which memory
``probe``       who reads what, where samples lie, what cannot be carried and why
``regions``     which part of an output a weight reaches
``reading``     what is known of an operator that reads weights
``hits``        what of a batch's faults an operator reads, and what they reach
``again``       ways to run an operator once more
``costs``       what each of them costs, and whether it has the bits of a batch
``pass_``       one pass that carries faults
``inferences``  pairs of faults and samples, shared out over passes
"""
