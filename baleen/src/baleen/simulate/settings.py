"""What a simulation is made of: the two chemistries and every knob."""

from dataclasses import dataclass

from baleen.config import CHEMISTRIES, Section, setting


@dataclass(frozen=True)
class Chemistry:
    """How one kind of pore is run: what the files of a real sample would say.

    Parameters
    ----------
    sampling_rate_hz, digitisation, adc_min, range_pa, offset_adc
        Of the digitiser: picoampere = (adc + offset_adc) * range_pa / digitisation, and adc lies in
        ``adc_min`` .. ``adc_min + digitisation - 1``.
    samples_per_base, dwell_shape
        Mean and shape of the gamma distribution of dwells.
    error_rate, quality
        Of the basecaller: share of wrong bases, mean Phred value of right ones.
    move_stride
        Samples per entry of the move table.
    kit, flow_cell, basecall_model
        Names in the files' headers.
    """

    sampling_rate_hz: int
    digitisation: int
    adc_min: int
    range_pa: float
    offset_adc: float
    samples_per_base: float
    dwell_shape: float
    error_rate: float
    quality: float
    move_stride: int
    kit: str
    flow_cell: str
    basecall_model: str


CHEMISTRY = {
    "rna002": Chemistry(
        sampling_rate_hz=3012,
        digitisation=8192,
        adc_min=-4096,
        range_pa=1402.88,
        offset_adc=4.0,
        samples_per_base=43.0,
        dwell_shape=1.6,
        error_rate=0.08,
        quality=13.0,
        move_stride=10,
        kit="sqk-rna002",
        flow_cell="FLO-MIN106",
        basecall_model="rna_r9.4.1_70bps_hac",
    ),
    "rna004": Chemistry(
        sampling_rate_hz=4000,
        digitisation=2048,
        adc_min=0,
        range_pa=299.43,
        offset_adc=-260.0,
        samples_per_base=31.0,
        dwell_shape=2.0,
        error_rate=0.03,
        quality=22.0,
        move_stride=6,
        kit="sqk-rna004",
        flow_cell="FLO-PRO004RA",
        basecall_model="rna004_130bps_sup@v5.1.0",
    ),
}


@dataclass(frozen=True, kw_only=True)
class SimulationConfig(Section):
    """Settings of a simulated native/control pair. None = the chemistry's own value."""

    pore: str = setting("rna002", "chemistry", choices=CHEMISTRIES)
    seed: int = setting(1, "seed; the same seed gives the same reads", minimum=0)
    reads: int = setting(60, "reads per contig and condition", minimum=1)
    full_length: float = setting(
        0.5, "share of reads that reach the 5' end; the others break off anywhere", minimum=0, maximum=1
    )
    sites: int = setting(
        8, "modified sites per contig, at least 15 bases apart; 0 = native is a second control", minimum=0
    )
    stoichiometry: tuple[float, ...] = setting(
        (0.1, 0.25, 0.5, 0.75, 1.0), "modified shares to choose from, comma-separated", minimum=0, maximum=1
    )
    shift_min_pa: float = setting(2.0, "least level shift of a modified base, picoampere", minimum=0)
    shift_max_pa: float = setting(8.0, "largest level shift of a modified base, picoampere", minimum=0)
    dwell_factor: float = setting(
        1.2, "how much longer a modified base stays in the pore, median", minimum=0.05
    )
    mod_error_rate: float = setting(
        0.0, "additional share of wrong basecalls at modified bases", minimum=0, maximum=0.9
    )
    error_rate: float | None = setting(
        None, "share of wrong basecalls [RNA002 .08, RNA004 .03]", minimum=0, maximum=0.5
    )
    samples_per_base: float | None = setting(None, "mean dwell, samples [RNA002 43, RNA004 31]", minimum=12)
    noise: float = setting(1.0, "sample noise, in units of the pore model's deviation", minimum=0)
    noise_correlation: float = setting(
        0.0, "correlation of the noise of neighbouring samples", minimum=0, maximum=0.95
    )
    event_jitter: float = setting(
        0.7, "spread of a base's level between reads, in units of the deviation", minimum=0
    )
    speed_sd: float = setting(
        0.15, "drift of the speed along a read, standard deviation of its log", minimum=0
    )
    stall_rate: float = setting(
        0.0015, "share of bases that stay 10 to 40 times longer", minimum=0, maximum=0.1
    )
    drift_pa: float = setting(3.0, "drift of the current over a read, standard deviation", minimum=0)
    gain_sd: float = setting(0.05, "spread of the gain between reads", minimum=0, maximum=0.3)
    offset_sd_pa: float = setting(5.0, "spread of the offset between reads, picoampere", minimum=0)
    adapter_s: float = setting(1.0, "mean time of the adapter, seconds", minimum=0.1)
    tail_bp: float = setting(60.0, "mean length of the poly-A tail", minimum=1)
    move_jitter: float = setting(0.7, "error of the move table, standard deviation in strides", minimum=0)
    moves: bool = setting(
        True, "write the basecaller's move table (mv, ts) into the BAM", flag="--moves/--no-moves"
    )

    @property
    def chemistry(self) -> Chemistry:
        """Properties of the chosen chemistry."""
        return CHEMISTRY[self.pore]
