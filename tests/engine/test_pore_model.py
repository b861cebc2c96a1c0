"""Pore models: shipped ones hold known levels, user files get the right direction and register."""

from pathlib import Path

import numpy as np
import pytest

from krill import FormatError, PoreModel

RNA002, RNA004 = PoreModel.shipped("rna002"), PoreModel.shipped("rna004")


def kmers(k: int) -> list[str]:
    return ["".join("ACGT"[(code >> 2 * (k - 1 - i)) & 3] for i in range(k)) for code in range(4**k)]


def level(model: PoreModel, kmer: bytes) -> float:
    return float(model.level_mean[model.kmer_codes(np.frombuffer(kmer, np.uint8))][0])


def write(
    path: Path, model: PoreModel, *, reverse: bool = False, row: str = "{}\t{}\t{}\n", header: str = ""
) -> Path:
    names = kmers(model.kmer_size)
    with path.open("w") as handle:
        handle.write(header)
        for kmer, mean, stdv in zip(names, model.level_mean, model.level_stdv, strict=True):
            handle.write(row.format(kmer[::-1] if reverse else kmer, mean, stdv))
    return path


def test_known_levels_of_rna002() -> None:
    assert level(RNA002, b"GGACT") == pytest.approx(123.83, abs=0.01)
    assert level(RNA002, b"AAAAA") == pytest.approx(108.90, abs=0.01)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_model_file_is_read_in_either_direction(tmp_path: Path, reverse: bool) -> None:
    header = "#ont_model_name\tr9\n#alphabet\tu_to_t_rna\nkmer\tlevel_mean\tlevel_stdv\n"
    loaded = PoreModel.load(write(tmp_path / "r9.model", RNA002, reverse=reverse, header=header))
    assert (loaded.kmer_size, loaded.center) == (5, 2)
    assert level(loaded, b"GGACT") == pytest.approx(123.83, abs=0.01)
    np.testing.assert_allclose(loaded.level_stdv, RNA002.level_stdv, rtol=1e-5)


def test_an_xpore_csv_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.csv", RNA002, row="{},{:.2f},{:.2f}\n", header="model_kmer,model_mean,model_stdv\n"
    )
    assert level(PoreModel.load(path), b"GGACT") == pytest.approx(123.83, abs=0.01)


def test_standardised_levels_without_header_become_picoampere(tmp_path: Path) -> None:
    path = tmp_path / "9mer_levels_v1.txt"
    z = (RNA004.level_mean - 84.02) / 17.55
    path.write_text("".join(f"{kmer} {value:.5f}\n" for kmer, value in zip(kmers(9), z, strict=True)))
    loaded = PoreModel.load(path)
    assert (loaded.kmer_size, loaded.center) == (9, 4)
    np.testing.assert_allclose(loaded.level_mean, RNA004.level_mean, atol=0.01)
    assert loaded.noise_pa == pytest.approx(RNA004.noise_pa)


def test_an_npz_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", level_mean=RNA002.level_mean, level_stdv=RNA002.level_stdv)
    np.testing.assert_allclose(PoreModel.load(tmp_path / "m.npz").level_mean, RNA002.level_mean)


@pytest.mark.parametrize(("first", "center"), [(1, 3), (2, 2)])
def test_the_register_of_a_shorter_model_is_found(tmp_path: Path, first: int, center: int) -> None:
    axes = RNA004.level_mean.reshape((4,) * 9)
    outside = tuple(i for i in range(9) if not first <= i < first + 5)
    np.savez(tmp_path / "m.npz", level_mean=axes.mean(axis=outside).reshape(-1))
    assert PoreModel.load(tmp_path / "m.npz").center == center


def test_published_tables_have_their_register(shared_data: Path) -> None:
    folder = shared_data / "pore_models"
    assert PoreModel.load(folder / "rna004_5mer_f5c.tsv").center == 3
    assert level(PoreModel.load(folder / "rna002_5mer.tsv"), b"GGACT") == pytest.approx(123.83, abs=0.01)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no k-mers in it"),
        ("name,b\n1,2\n", "not a pore model"),
        ("AAAAA 1\nAAAA 2\n", "different lengths"),
        ("AA 1\nAC 2\n", "14 of 16 2-mers are missing"),
        ("AAAAA x\n", "line 1 is no k-mer"),
    ],
)
def test_other_files_are_refused_with_their_reason(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "other.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match=problem):
        PoreModel.load(path)


def test_a_model_of_no_known_pore_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "m.npz", level_mean=rng.normal(90, 15, 1024))
    with pytest.raises(FormatError, match="not those of RNA in a known pore"):
        PoreModel.load(tmp_path / "m.npz")
