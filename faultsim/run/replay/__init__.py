"""Trials that run only what their faults can reach, on a CUDA device as graphs.

What is promised: every output is that of the whole model, bit by bit, for the same inputs in the
same batch. What follows is how that is known of models that nobody here wrote.

**The idea.** A fault cannot change what runs before it. A golden pass is a sequence of module
calls; whenever one begins or ends, a clock ticks (``calls``). A *cut* is a tick. A trial whose
faults all act after a cut starts there: the model's own Python runs as ever, but the calls that had
ended by the cut are skipped (``forwards`` stands between a module and its ``forward``), and return
what they returned in the golden pass. Nothing is known of the model's code, so nothing of it is
rewritten; what lies between modules (an addition, a loop) runs each time.

**When a fault first acts** (``Calls.reach``). An activation's fault acts when its module's first
call ends, a state's when it begins. A weight's acts when its value is first read, which may be
outside its owner: attention reads its projection's weight itself, a head reads the embedding's. So
the pass is watched by torch's dispatcher too (``trace``), and the earliest operator on the weight's
storage counts, or the first call of its owner if that is earlier, since kernels past the dispatcher
cannot be seen.

**Where a cut may lie** (``cuts``). What crosses a cut is handed on as copies (``values``), so there
is none where a copy would not do:

- a value was later changed in place by a call that is skipped, or shares memory with the inputs or
  another value that crosses;
- the model changed its inputs.

**What is run again** (``trace``). Some calls cannot be skipped, and forbid no cut: those that
change their module (``state``) or leave a tensor where others find it (a cache), with the calls
around them, and those whose output is no tree of plain tensors. A run from a cut on meets them,
runs their own code again, and skips what can be skipped inside; what they read counts as read at
every cut.

Of the possible cuts at most sixteen are chosen, about evenly in time and each where little memory
crosses, within a budget of memory for the whole split.

**Why it is exact** (``prefix``). Analysis proposes, a run decides: a cut is kept only if a golden
run from it gives the golden output, after other inputs went through the model. Values that nobody
was seen to read are handed on as stand-ins without memory; any operation on one raises ``Unkept``,
and the whole model runs instead. The same happens where anything else goes wrong on the way, since
an error of the model's own is met again there. A batch that takes another way through the model
than the first is never cut, nor one of another size than was recorded, where each sample might be
rounded otherwise. Copies keep strides and alignment, on which some kernels' last bits depend.

**What a trial costs, and when it is dearer.** ``Prefix.run`` is an engine like the whole pass
(``run/engine.py``). What could not be replayed is remembered once, with its reason, in
``Prefix.lost``: from there it goes to ``Progress.lost`` and the command line.

**Graphs** (``graph``, ``static``, ``captured``). On a CUDA device Python costs more than the
kernels. A ``StaticTrial`` is one trial whose memory never moves (strike, run from a cut on,
restore), captured as a CUDA graph: faults and inputs are written into its slots, and it is replayed
for other faults. ``CapturedTrials`` holds those used last, by cut, shape and struck outputs. A
graph must repeat the golden output before it is used; what cannot be captured is not tried again.
On the CPU the same work is rehearsed in the tests, done again instead of replayed.
"""

from faultsim.run.replay.captured import CapturedTrials
from faultsim.run.replay.decisions import Decision, decisions, saving
from faultsim.run.replay.prefix import Prefix

__all__ = ["CapturedTrials", "Decision", "Prefix", "decisions", "saving"]
