#!/usr/bin/env bash
# The main job, end to end, on a simulated paired cohort: draw slides, extract patch features,
# audit, cross-validate with and without distillation, compare, train a final model, predict
# new patients from their slides alone.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -e demo ]; then
  echo "Removing the results of an earlier demonstration (demo/)."
  rm -rf demo
fi

say() { printf '\n== %s\n' "$*"; }

say "A simulated cohort: no real patient is in it"
histodistill simulate demo/cohort --slides --patients 80 --slide-px 1024

say "Patch features of its slides, with a small ImageNet encoder that needs no download"
histodistill extract demo/cohort/slides --encoder efficientnet-lite0 --out demo/cohort/features

say "Audit: what is there, who is left out, can it be trusted?"
histodistill audit examples/simulated.yaml

say "Cross-validation of ER: the slide-only student, alone and taught by genomics"
histodistill crossval examples/simulated.yaml

say "Paired comparison with the slide-only student"
histodistill compare demo/results/predictions.csv --reference "abmil student" --out demo/comparison

say "A final model"
histodistill train examples/simulated.yaml --method mkd --out demo/bundle

say "New simulated patients, from their slides alone"
histodistill simulate demo/new-patients --slides --patients 20 --seed 1 --slide-px 1024
histodistill predict demo/bundle --slides demo/new-patients/slides \
  --patient-pattern '^(SIM-S[0-9]+-[0-9]+)' --out demo/predictions.csv
head -n 6 demo/predictions.csv

say "Where everything is (simulated data throughout)"
echo "slides       demo/cohort/slides, outlines of their tissue in demo/cohort/features/previews"
echo "report       demo/results/report/report.html"
echo "predictions  demo/results/predictions.csv (out of fold), demo/predictions.csv (new patients)"
echo "model        demo/bundle (read MODEL_CARD.md)"
