#!/bin/sh
# What only a GPU can show, in ten minutes on one: tests, sanitizers, campaigns, benchmarks.
#
#     benchmarks/gpu.sh [OUT]       PYTHON= chooses the interpreter
#
# Writes gpu.json, gpu.md and the log of each step into OUT (build/gpu). Needs the dependencies of
# development that are installed, and nothing from outside; compiles faultsim unless it is there
# with CUDA already.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}

if ! arch=$("$PYTHON" -c 'import torch; print("%d%d" % torch.cuda.get_device_capability())' 2>/dev/null)
then
  echo "benchmarks/gpu.sh: torch finds no CUDA device here, so nothing was run" >&2
  exit 1
fi
if ! "$PYTHON" -c 'import faultsim._C as native; assert native.with_cuda' 2>/dev/null; then
  FAULTSIM_CUDA=1 FAULTSIM_CUDA_ARCHS=$arch \
    "$PYTHON" -m pip install --quiet --no-index --no-build-isolation --no-deps --editable .
fi
exec "$PYTHON" -m benchmarks.gpu "${1:-build/gpu}"
