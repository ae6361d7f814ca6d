"""Published architectures, each run through every mode of the tool: ``docs/architectures.md``.

    python -m benchmarks.architectures                 # all, anew
    python -m benchmarks.architectures --missing       # those that have no record yet
    python -m benchmarks.architectures --only resnet18 gpt2

One file a family says what a user would have, a model and its data, and what a user would write.
"""
