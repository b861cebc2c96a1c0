"""The columns of every table that is written; headers, documents and checks come from here."""

from typing import NamedTuple


class Column(NamedTuple):
    """A column of the site table; header, docs, tooltips and checks come from here."""

    name: str
    dtype: str
    unit: str
    description: str


SITE_COLUMNS: tuple[Column, ...] = (
    Column("contig", "str", "", "reference sequence"),
    Column("position", "int32", "0-based", "reference index of the base under test"),
    Column("kmer", "str", "", "5-mer centred on the position"),
    Column(
        "mod_ratio",
        "float32",
        "",
        "estimated share of modified native molecules",
    ),
    Column("ci_low", "float32", "", "lower end of the 95 % interval of mod_ratio"),
    Column("ci_high", "float32", "", "upper end of the 95 % interval of mod_ratio"),
    Column("pvalue", "float64", "", "of native and control reads being exchangeable, all channels fused"),
    Column("padj", "float64", "", "Benjamini-Hochberg over all tested positions of the run"),
    Column(
        "empirical_q", "float64", "", "the same rate by the run's controls split in two; empty if too few"
    ),
    Column(
        "event_padj",
        "float64",
        "",
        "false discovery rate of the run's events up to this one; empty where no event can be",
    ),
    Column(
        "effect_size",
        "float32",
        "control sd",
        "mean native minus mean control level",
    ),
    Column("n_native", "int32", "reads", "native reads behind the call"),
    Column("n_ivt", "int32", "reads", "control reads behind the call"),
    Column("mean_p_mod", "float32", "", "mean of the native reads' probabilities"),
    Column("stoichiometry", "float32", "", "share of native reads with p_mod >= --mod-threshold"),
    Column("is_peak", "bool", "", "whether this is the called position of an event: event_padj below .05"),
    Column(
        "position_posterior",
        "float32",
        "",
        "probability that an event sits here, not up to 3 away",
    ),
    Column(
        "statistic",
        "float32",
        "",
        "evidence of all channels in use",
    ),
    Column("score", "float32", "", "statistic + 4 ln position_posterior by signal: ranks exact bases"),
    Column("signal_statistic", "float32", "", "ln evidence for differing shares of shifted reads, by signal"),
    Column("signal_z", "float32", "", "normal score of the signal test"),
    Column("level_statistic", "float32", "", "ln evidence by the level alone"),
    Column(
        "own_statistic", "float32", "", "ln evidence by the level that no event more than 2 away explains"
    ),
    Column(
        "shape_statistic", "float32", "", "ln evidence by level and time-warping shape; empty if not used"
    ),
    Column("dwell_statistic", "float32", "", "ln evidence by level and dwell; empty if not used"),
    Column("shift_pa", "float32", "pA", "level shift of a modified read"),
    Column("error_z", "float32", "", "normal score of the error test, positive = more errors in native"),
    Column("error_native", "float32", "", "share of native reads with a basecall error at the base"),
    Column("error_control", "float32", "", "share of control reads with a basecall error at the base"),
    Column("filter", "str", "", "PASS, or why the position was not tested"),
)
"""The site table, in order. Missing values are empty in files."""


SAMPLE_COLUMNS: tuple[Column, ...] = (
    Column("contig", "str", "", "reference sequence"),
    Column("position", "int32", "0-based", "reference index of the base under test"),
    Column("sample", "str", "", "name of the sequenced library"),
    Column("condition", "str", "", "control, native, or the name of the native condition"),
    Column("depth", "int32", "reads", "reads of the sample behind the call"),
    Column("mod_ratio", "float32", "", "estimated share of modified molecules of the sample"),
    Column("mean_p_mod", "float32", "", "mean of the sample's reads' probabilities"),
)
"""The table of samples, in order: a line per tested position and sample with reads there."""


CONTRAST_COLUMNS: tuple[Column, ...] = (
    Column("contig", "str", "", "reference sequence"),
    Column("position", "int32", "0-based", "reference index of the base under test"),
    Column("condition_a", "str", "", "native condition"),
    Column("condition_b", "str", "", "native condition that it is compared with"),
    Column("n_a", "int32", "reads", "reads of condition a"),
    Column("n_b", "int32", "reads", "reads of condition b"),
    Column("mod_ratio_a", "float32", "", "estimated share of modified molecules of a"),
    Column("mod_ratio_b", "float32", "", "the same of b, by the same modified and unmodified reads"),
    Column("difference", "float32", "", "mod_ratio_a - mod_ratio_b"),
    Column("ci_low", "float32", "", "lower end of the 95 % interval of the difference"),
    Column("ci_high", "float32", "", "upper end of the 95 % interval of the difference"),
    Column("pvalue", "float64", "", "of the reads of both conditions being exchangeable"),
    Column("padj", "float64", "", "Benjamini-Hochberg over all rows of the table"),
)
"""The table of contrasts, in order: positions where natives together differ from the control at
p < .05, and every pair of native conditions."""


MOD_COLUMNS: tuple[Column, ...] = (
    Column("contig", "str", "", "reference sequence"),
    Column("position", "int32", "0-based", "reference index of the base"),
    Column("mod_code", "str", "", "modification code of the MM tag"),
    Column("mod_name", "str", "", "its name, where it is known"),
    Column("n_native", "int32", "reads", "native reads of which the basecaller says something there"),
    Column("n_ivt", "int32", "reads", "control reads of which it does"),
    Column("native_probability", "float64", "", "mean probability of the native reads"),
    Column("control_probability", "float64", "", "mean probability of the control reads"),
    Column("mod_ratio", "float64", "", "corrected by the control: (native - control) / (1 - control)"),
    Column("ci_low", "float64", "", "lower end of the 95 % interval of mod_ratio"),
    Column("ci_high", "float64", "", "upper end of the 95 % interval of mod_ratio"),
    Column("pvalue", "float64", "", "of native reads having no larger probabilities, by relabelling"),
    Column("padj", "float64", "", "Benjamini-Hochberg over all rows of the table"),
)
"""The table of the basecaller's own modification calls, in order."""

MOD_READ_COLUMNS: tuple[Column, ...] = (
    Column("contig", "str", "", "reference sequence"),
    Column("position", "int32", "0-based", "reference index of the base"),
    Column("mod_code", "str", "", "modification code of the MM tag"),
    Column("sample", "str", "", "name of the sequenced library"),
    Column("read_id", "str", "", "native read"),
    Column("probability", "float32", "", "what the basecaller says"),
    Column("corrected_probability", "float64", "", "corrected by what it says of the control there"),
)
"""The table of the basecaller's calls of single native reads, at significant rows, in order."""

EVENT_NAME_COLUMNS: tuple[Column, ...] = (
    Column("contig", "str", "", "reference sequence"),
    Column("position", "int32", "0-based", "called position of an event"),
    Column("mod_ratio", "float32", "", "estimated share of modified native molecules"),
    Column("padj", "float64", "", "of the event's position"),
    Column("mod_name", "str", "", "modification that the basecaller finds within 1 base at padj < .05"),
    Column("mod_code", "str", "", "its code"),
    Column("mod_position", "int32", "0-based", "where it finds it"),
    Column("mod_padj", "float64", "", "padj there in the table of the basecaller's calls"),
)
"""The table of events with the basecaller's names, in order; no name = empty."""
