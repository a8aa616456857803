"""The table of verdict categories: what each one means, whether it harms, and what would change it.

Everything that asks about a category reads it here. The rule that decides for a category is in
`tfcollapse.diagnosis.verdict`. A VAE that has it is in `tfcollapse.diagnosis.taxonomy.cases`.
"""

from __future__ import annotations

import dataclasses

HEALTHY, UNDECIDED = "healthy", "undecided"


@dataclasses.dataclass(frozen=True)
class Category:
    """One category that a verdict can name.

    Attributes:
      name: the number that section 3 of the paper gives it, or a word.
      meaning: what it says of the model.
      harmful: whether its dead units should be alive.
      order: the place in which dead units get this label. The dead unit with the largest KL gets the smallest order.
        0 where no dead unit can have the category.
      change: what would change the verdict. A format string; `verdict.decide` fills in these numbers:
        reviving_gamma, the gamma below which the first dead unit is worth its KL, and optimal_gamma, eq. (10).
      by_decoder: whether the kind of decoder alone causes it, so that `tfcollapse blame` holds the decoder responsible.
      numbered: whether the paper numbers it. Then it is shown as "category (i)".
    """

    name: str
    meaning: str
    harmful: bool
    order: int
    change: str
    by_decoder: bool = False
    numbered: bool = True

    @property
    def title(self) -> str:
        """The category as a reader sees it: "category (i)", or the word alone."""
        return f"category ({self.name})" if self.numbered else self.name


_TABLE = (
    Category(
        HEALTHY,
        "every unit is in use",
        harmful=False,
        order=0,
        change="nothing to mend",
        numbered=False,
    ),
    Category(
        "i",
        "superfluous units at the prior: harmless",
        harmful=False,
        order=6,
        change="nothing to mend: fewer latents are enough for these images",
    ),
    Category(
        "ii",
        "the decoder variance gamma (or beta, or a loss averaged over pixels) is too large",
        harmful=True,
        order=2,
        change="gamma below {reviving_gamma:.3g} revives the first unit; learn gamma, or set it to {optimal_gamma:.3g} "
        "(eq. (10)); with beta, the product counts",
    ),
    Category(
        "iii",
        "the decoder's own covariance has degenerated on a few images",
        harmful=True,
        order=4,
        change="one gamma for all pixels and images, or a least value for the decoder's variances",
        by_decoder=True,
    ),
    Category(
        "iv",
        "the decoder is powerful enough to predict the images without z",
        harmful=True,
        order=5,
        change="a decoder that sees less of the image (a smaller receptive field, dropout on its input)",
        by_decoder=True,
    ),
    Category(
        "v",
        "stuck: a bad local minimum, start or budget; gamma does not explain it",
        harmful=True,
        order=1,
        change="run `tfcollapse blame`; a gamma above {reviving_gamma:.3g} would make the collapse gamma's doing",
    ),
    Category(
        UNDECIDED,
        "the measurements do not tell",
        harmful=True,
        order=3,
        change="what the evidence says is missing: more images, or gamma (times beta) declared",
        numbered=False,
    ),
)

CATEGORIES = {category.name: category for category in _TABLE}
"""Every category by its name, in the order in which the paper and the README list them."""
