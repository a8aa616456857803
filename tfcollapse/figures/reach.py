"""Draw the reach study: the probability over seeds that an AE's error is at most epsilon, for each depth."""

from __future__ import annotations

from matplotlib.figure import Figure

from tfcollapse.figures.style import caption, dress, legend, plain_log, series_look
from tfcollapse.records.statistics import Rows, share_reaching
from tfcollapse.records.trained import marked


def reach_figure(rows: Rows) -> Figure:
    """Draw the share of seeds whose error is at most epsilon against epsilon, with one curve and band for each depth.

    Args:
      rows: the rows of AEs at several depths and seeds, at least one; errors are squared errors per pixel on the
        training set.

    Example:
      >>> rows = [row for row in tc.read_table("results/long/fig1_left.csv") if row["objective"] == "AE"]
      >>> rows = [row | {"seed": seed} for row in rows for seed in range(6)]  # as if there were six seeds
      >>> figure = tc.figures.reach_figure(rows)
      >>> [axes.get_xlabel() for axes in figure.axes]
      ['epsilon, squared error per pixel on the training set']
    """
    rows = marked(rows)
    figure = Figure(figsize=(8.4, 4.8), layout="constrained")
    axes = figure.subplots()
    errors = [row["train_error"] for row in rows if row.get("train_error") is not None]
    for i, depth in enumerate(sorted({row["depth"] for row in rows})):
        style = series_look(i)
        cell = [row for row in rows if row["depth"] == depth]
        done = sorted((row for row in cell if row.get("train_error") is not None), key=lambda row: row["train_error"])
        if not done:
            continue
        ends = (min(errors) / 1.05, *(row["train_error"] for row in done), max(errors) * 1.05)
        epsilons, shares, low, high = zip(*(share_reaching(cell, epsilon) for epsilon in ends), strict=True)
        look = {"color": style["color"], "linestyle": style["linestyle"], "linewidth": 1.4}
        axes.step(epsilons, shares, where="post", label=f"depth {depth}", **look)
        axes.fill_between(epsilons, low, high, step="post", color=style["color"], alpha=0.15, linewidth=0)
        for row, share in zip(done, shares[1:-1], strict=True):
            face = style["color"] if row["trained"] else "white"
            axes.plot(row["train_error"], share, style["marker"], color=style["color"], markerfacecolor=face)
    plain_log(axes, "x")
    axes.set(xlabel="epsilon, squared error per pixel on the training set", ylim=(-0.02, 1.02))
    axes.set_ylabel("share of seeds with an error of at most epsilon")
    legend(figure, axes)
    text = caption(rows) + "\nbands: 95% binomial intervals (Clopper-Pearson), for each epsilon by itself"
    return dress(figure, [(axes, "Probability that training reaches an error, eq. (9)")], text)
