#!/usr/bin/env bash
# The whole job on simulated patients, in two parts. First what distillation is for: many patients
# with slides and genomics, few with a label; the slide-only student taught by genes against the
# one that knows slides and labels alone. Then the way from slides to answers: draw slides, extract
# their features, train a model, answer for new patients and show where it looked.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -e demo ]; then
  echo "Removing the results of an earlier demonstration (demo/)."
  rm -rf demo
fi

say() { printf '\n== %s\n' "$*"; }

say "Part 1. 1500 simulated patients, 360 with a known ER status; no real patient is in it"
histodistill simulate demo/cohort --settings examples/simulation/few-labels.yaml
echo "Genes tell ER nearly without error, slides less: no model of slides can pass the first figure."
echo "The setting was chosen so that the gain is plain; examples/simulation/few-labels.yaml says how,"
echo "and docs/tutorials/simulated.md what comes out with other seeds and when the gain is small."

say "Audit: what is there, who is left out, can it be trusted?"
histodistill audit examples/simulated.yaml
echo "Patients of unknown ER stand in no fold; programmes learns from their slides and genes."

say "Cross-validation of ER: slides and labels alone (abmil), and taught by genomics (programmes)"
histodistill crossval examples/simulated.yaml --jobs 2

say "Is the difference more than chance? The same patients, in pairs"
histodistill compare demo/results/predictions.csv --reference "abmil student" --out demo/comparison
echo "Read the row 'programmes student': it answers from slides alone, as abmil does."

say "Part 2. From slides to answers: slides are drawn, and few, so nothing is claimed of accuracy"
histodistill simulate demo/drawn --slides --patients 36 --slide-px 768

say "Patch features, with a small ImageNet encoder that needs no download"
histodistill extract demo/drawn/slides --encoder efficientnet-lite0 --out demo/drawn/features

say "A model to deploy"
histodistill train examples/slides.yaml --out demo/bundle

say "New simulated patients, from their slides alone, and where the model looked"
histodistill simulate demo/new-patients --slides --patients 20 --seed 1 --slide-px 768
histodistill predict demo/bundle --slides demo/new-patients/slides \
  --patient-pattern '^(SIM-S[0-9]+-[0-9]+)' --out demo/predictions.csv
head -n 4 demo/predictions.csv
histodistill explain demo/bundle --features demo/predictions-features --patches 4 \
  --slides demo/new-patients/slides --patient-pattern '^(SIM-S[0-9]+-[0-9]+)' \
  --patient "$(sed -n 2p demo/predictions.csv | cut -d, -f1)" --out demo/maps

say "Open these (simulated data throughout)"
echo "demo/results/report/report.html   the comparison: figures, intervals, who was left out"
echo "demo/cohort/README.txt            what is true in the cohort"
echo "demo/bundle/MODEL_CARD.md         the model: what it was trained on, what it must not be used for"
echo "demo/predictions.csv              answers for the new patients"
echo "demo/maps                         a map of what each patch brought, with its certificate"
echo "demo/drawn/features/previews      outlines of the tissue that was found on each slide"
