#!/usr/bin/env bash
# What only an NVIDIA GPU can show: the tests marked `cuda`, then the benchmarks, each within ten
# minutes. It needs no network where Python has PyTorch already:
#
#     make gpu-wheels                 # on a machine with a network and the same version of Python
#     bash benchmarks/gpu.sh          # with the GPU; PYTHON names the Python that has PyTorch
#
# All that is printed is kept in build/gpu/report.txt, whose tables go into docs/performance.md.
# DEVICE=cpu runs the same commands in toy sizes, to see that each of them runs.
set -u
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
device=${DEVICE:-cuda}
venv=build/gpu/venv
mkdir -p build/gpu

if [ ! -e "$venv/ready" ]; then
  "$python" -m venv --system-site-packages "$venv" &&
    "$venv/bin/python" -m pip install --quiet --no-index --find-links build/gpu/wheels \
      'histodistill[slides]' pytest && touch "$venv/ready" || exit 1
fi
export PYTHONPATH=$PWD/src${PYTHONPATH:+:$PYTHONPATH}
run="$venv/bin/python"
"$run" - "$device" <<'PYTHON' || exit 1
import sys
import torch
if sys.argv[1] == "cuda" and not torch.cuda.is_available():
    sys.exit(f"PyTorch {torch.__version__} sees no NVIDIA GPU (its CUDA: {torch.version.cuda})")
PYTHON

failed=0
step() {  # step TITLE SECONDS COMMAND...: one part of the report, and whether it ended well
  local title=$1 seconds=$2
  shift 2
  printf '\n## %s\n\n    %s\n\n' "$title" "$*"
  timeout "$seconds" "$@"
  local status=$?
  [ $status -eq 0 ] || { failed=1; echo "FAILED: status $status (124: not ended in $seconds s)"; }
}

report() {
  if [ "$device" = cuda ]; then
    step "Tests on the GPU" 600 "$run" -m pytest -m cuda tests/gpu tests/training/loop
    step "The training step" 600 "$run" benchmarks/training_step.py --device cuda \
      --rounds 5 --cpu-threads 2
    step "Five folds of a hundred epochs" 600 "$run" benchmarks/experiment.py --device cuda
    step "Many models in one pass" 600 "$run" benchmarks/passes.py --device cuda
    step "Extraction" 600 "$run" benchmarks/extraction.py --device cuda --count 4 --side 8192
  else
    step "Tests on the stand-in" 600 "$run" -m pytest -m 'not cuda' tests/gpu
    step "The training step" 600 "$run" benchmarks/training_step.py --device cpu \
      --rounds 1 --patches 64 --cpu-threads 2
    step "A few folds and epochs" 600 "$run" benchmarks/experiment.py --device cpu \
      --patients 60 --patches 100 --width 64 --genes 512 --folds 2 --epochs 1
    step "Many models in one pass" 600 "$run" benchmarks/passes.py --device cpu \
      --recipes linear --models 2 --patients 40 --patches 20 --width 16 --genes 512 --rounds 1
    step "Extraction" 600 "$run" benchmarks/extraction.py --device cpu --count 1 --side 1024 \
      --rounds 1
  fi
  [ $failed -eq 0 ] && echo "All parts ended well." || echo "Some parts failed."
  return $failed
}

set -o pipefail
report 2>&1 | tee build/gpu/report.txt
