"""The table of verdict categories: what each one means, whether it harms, and what would change it.

Everything that asks about a category reads it here. The rule that decides for a category is in
`tfcollapse.diagnosis.verdict`. VAEs that have it are in `tfcollapse.diagnosis.taxonomy`.
"""

from __future__ import annotations

import dataclasses

HEALTHY, IN_USE, UNDECIDED = "healthy", "in use", "undecided"
NOT_TRAINED, INCONSISTENT = "not trained", "inconsistent"


@dataclasses.dataclass(frozen=True)
class Category:
    """One category that a verdict can name.

    Attributes:
      name: the number that section 3 of the paper gives it, or a word.
      meaning: what it says of the model.
      harmful: whether its units should do more than they do, or nothing can be said of them.
      order: the place in which dead units get this label. The dead unit with the largest KL gets the smallest order.
        0 where no dead unit can have the category.
      why: why its units are idle, as the end of a sentence. A format string: `advice` fills in {scale}, the name of
        what scales the KL; {too_large}, what is too large; {more}, what would lower the loss.
      next_step: what to do next. A format string: `advice` fills in {enough}, how many units are enough;
        {less_weight}, how to weigh the KL less; {blame}, what finds out who is to blame; {kept}, what kept such units
        where that was measured; {settle}, what would decide; {mend}, what gives the outputs their meaning.
      colour, hatch: of its units in a figure. The colours are Okabe and Ito's, which every kind of colour vision tells
        apart; the hatches tell the kinds apart without colour.
      by_decoder: whether the kind of decoder alone causes it, so that `tfcollapse blame` holds the decoder responsible.
      numbered: whether the paper numbers it. Then it is shown as "category (i)".
    """

    name: str
    meaning: str
    harmful: bool
    order: int
    why: str
    next_step: str
    colour: str
    hatch: str
    by_decoder: bool = False
    numbered: bool = True

    @property
    def title(self) -> str:
        """The category as a reader sees it: "category (i)", or the word alone."""
        return f"category ({self.name})" if self.numbered else self.name


_TABLE = (
    Category(
        HEALTHY,
        "every latent unit is in use",
        harmful=False,
        order=0,
        why="",
        next_step="nothing needs to be done",
        colour="#0072b2",
        hatch="",
        numbered=False,
    ),
    Category(
        IN_USE,
        "healthy but for what the first sentence says",
        harmful=False,
        order=0,
        why="",
        next_step="look into what the first sentence names",
        colour="#0072b2",
        hatch="",
        numbered=False,
    ),
    Category(
        "i",
        "superfluous units at the prior: harmless",
        harmful=False,
        order=6,
        why="superfluous: at this {scale} nothing is left that they could code, which is harmless",
        next_step="nothing needs to be done: {enough}",
        colour="#bbbbbb",
        hatch="...",
    ),
    Category(
        "ii",
        "the decoder variance gamma, or the weight on the KL, is too large",
        harmful=True,
        order=2,
        why="because {too_large}",
        next_step="{less_weight}",
        colour="#e69f00",
        hatch="///",
    ),
    Category(
        "iii",
        "the decoder's own covariance has degenerated on a few examples",
        harmful=True,
        order=4,
        why="because the decoder's own variance has run off to 0 on a few examples",
        next_step="use one gamma for all numbers and examples, or give the decoder's variances a least value",
        colour="#cc79a7",
        hatch="\\\\\\",
        by_decoder=True,
    ),
    Category(
        "iv",
        "the decoder is powerful enough to predict the data without z",
        harmful=True,
        order=5,
        why="because the decoder knows the data without z",
        next_step="use a decoder that sees less of the example (a smaller receptive field, dropout on its input)",
        colour="#56b4e9",
        hatch="++",
        by_decoder=True,
    ),
    Category(
        "v",
        "stuck: a bad local minimum, start or budget; gamma does not explain it",
        harmful=True,
        order=1,
        why="although the loss would be lower {more}: a bad minimum, a bad start or too short a training is the cause, "
        "not {scale}",
        next_step="find out whether depth, start or budget is to blame{kept}: {blame}",
        colour="#d55e00",
        hatch="xxx",
    ),
    Category(
        UNDECIDED,
        "the measurements do not tell",
        harmful=True,
        order=3,
        why="and the measurements do not tell why",
        next_step="{settle}",
        colour="#f0e442",
        hatch="---",
        numbered=False,
    ),
    Category(
        NOT_TRAINED,
        "the model is not at a minimum of its loss",
        harmful=True,
        order=0,
        why="",
        next_step="if these are the data of the training, in its scale, train longer (or check the learning rate, and "
        "that the loss falls), then diagnose again",
        colour="#f0e442",
        hatch="ooo",
        numbered=False,
    ),
    Category(
        INCONSISTENT,
        "the outputs are not what they are taken for",
        harmful=True,
        order=0,
        why="",
        next_step="{mend}",
        colour="#f0e442",
        hatch="***",
        numbered=False,
    ),
)

CATEGORIES = {category.name: category for category in _TABLE}
"""Every category by its name, in the order in which the paper and README.md beside this file list them."""
