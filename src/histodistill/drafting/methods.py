"""Which methods suit what the files hold."""

from __future__ import annotations

from histodistill.drafting.found import Found
from histodistill.drafting.setting import Setting
from histodistill.drafting.variation import Variation
from histodistill.features.within_bags import LEAST_WITHIN_BAGS

# Measured on simulated patients of real tissue: docs/regimes.md.
_LOSS, _GAIN, _COST = ".002", ".06", "three to five times"
_WITH_PROGRAMMES = "methods: [programmes, abmil]   # a third to a fifth of the processor time"
_WITH_PROPORTIONS = "methods: [proportions, abmil]   # where patches of a patient differ"
_ALL = "All: `histodistill suite --list-methods`."


def methods_setting(found: Found) -> Setting:
    """The methods: the recommended one, and what it has to beat.

    Args:
        found: What the files hold. No label is looked at.
    """
    if found.slides is None:
        return Setting(
            "methods",
            ["linear-genomic", "snn"],
            ("Without slides: logistic regression on all genes, and a network.",),
        )
    if not found.blocks:
        return Setting(
            "methods",
            ["abmil", "mean"],
            ("Without genomics nothing can be distilled: attention, and the mean of the patches.",),
        )
    return _taught_by_genes(found, found.slides.variation)


def _taught_by_genes(found: Found, variation: Variation | None) -> Setting:
    recommended = "proportions" if variation is not None and variation.differ else "programmes"
    both = found.with_slides & found.with_genes
    unlinked = found.with_slides and found.with_genes and not both
    paired = (f"{len(both)} patients have both slides and genomics.",) if both else ()
    untaught = (
        f"`{recommended}` is taught by genomics; `abmil` learns from the same slides without "
        f"genomics: what distillation has to beat. {_ALL}"
    )
    decide = (
        "no patient has both slides and genomics: nothing links them; is one of the tables of "
        "another cohort?"
    )
    others = [f"methods: [{recommended}, mkd, abmil]   # with the method of the paper"]
    if variation is None:
        others.append(_WITH_PROPORTIONS)
    elif variation.differ:
        others.append(_WITH_PROGRAMMES)
    return Setting(
        "methods",
        [recommended, "abmil"],
        (*paired, *told_variation(variation), untaught),
        (decide,) if unlinked else (),
        tuple(others),
    )


def told_variation(variation: Variation | None) -> tuple[str, ...]:
    """How much patches differ and what follows, in sentences."""
    if variation is None:
        return (
            "How much the patches of a patient differ could not be measured. `programmes` is "
            "recommended where they hardly do; where they do, as those of most encoders, take "
            f"`proportions`, at {_COST} the processor time.",
        )
    measured = (
        f"{variation.share:.0%} of the variance of patches lies within patients (measured on "
        f"{variation.patients} of them)"
    )
    if variation.differ:
        return (
            f"The patches of a patient differ: {measured}. Rare tissue may carry a signal then, "
            "which the mean patch hides: `proportions` is recommended. It is `programmes` with "
            "detectors of patches whose number follows the genes, which count for as much as they "
            f"prove to be worth on training patients that they have not seen. It takes {_COST} "
            f"the processor time; its AUC was up to {_GAIN} above that of `programmes` where rare "
            f"tissue carried the signal and never more than {_LOSS} below it elsewhere "
            "(docs/regimes.md).",
        )
    return (
        f"The patches of a patient hardly differ: {measured}, and from {LEAST_WITHIN_BAGS:.0%} on "
        "tissue can be told apart among them. `programmes` is recommended; `proportions` would "
        "leave its detectors out here and be the same.",
    )
