"""A process that runs one extraction engine, in the environment that engine is installed in.

It answers requests, one JSON line each: what was computed, how long it took, and the most memory it ever held. Features
are named as PyRadiomics names them where they are the same.
"""

import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

Features = dict[str, float]
Engine = Callable[[str, str], Features]


def work(engine: str) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    made: dict[str, Engine] = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = json.dumps(request["content"])
        start, start_cpu = time.perf_counter(), time.process_time()
        if key not in made:
            made[key] = ENGINES[engine](request["content"])
        features = made[key](request["image"], request["mask"])
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
        told = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": _peak_mb(), "features": features}
        print(json.dumps(told), file=answers, flush=True)


def _peak_mb() -> float:
    # The resource usage of a process begins with that of the one that started it; this does not.
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def _itk(content: dict[str, Any]) -> Engine:
    import SimpleITK as sitk

    def read(image: str, mask: str) -> Features:
        sitk.ReadImage(image)
        sitk.ReadImage(mask)
        return {}

    return read


def _fast(content: dict[str, Any]) -> Engine:
    from pipelines.radiomics import FastEngine

    return FastEngine(content).execute  # type: ignore[return-value]


PARTS = (
    ("reading the image", "prepare", ("open_picture", "_cut")),
    ("reading the mask", "prepare", ("open_mask", "find_region")),
    ("LoG", "images", ("log_image",)),
    ("wavelet", "wavelet", ("_convolve",)),
    ("shape", "engine", ("shape_features",)),
    ("gray levels", "textures", ("gray_levels", "bin_edges")),
    ("first order", "textures", ("firstorder_features",)),
    ("GLCM pairs", "textures", ("pair_counts",)),
    ("GLCM features", "textures", ("glcm_features",)),
    ("runs, zones, dependences", "textures", ("sweep",)),
    ("GLRLM, GLSZM, GLDM features", "textures", ("glrlm_features", "glszm_features", "gldm_features")),
    ("NGTDM", "textures", ("neighbor_sums", "ngtdm_features")),
)
"""Parts of the fast engine: name, module and the functions in it that are timed."""


def _parts(content: dict[str, Any]) -> Engine:
    """Returns an engine whose answer is the seconds of each part instead of features."""
    import importlib

    from pipelines.radiomics import FastEngine

    engine = FastEngine(content)
    spent: dict[str, float] = defaultdict(float)
    for part, module, functions in PARTS:
        place = importlib.import_module(f"pipelines.radiomics.fast.{module}")
        for function in functions:
            setattr(place, function, _timed(getattr(place, function), part, spent))

    def execute(image: str, mask: str) -> Features:
        spent.clear()
        start = time.perf_counter()
        engine.execute(image, mask)
        return {**spent, "all": time.perf_counter() - start}

    return execute


def _timed(function: Callable[..., Any], part: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            spent[part] += time.perf_counter() - start

    return timed


def _stock(content: dict[str, Any]) -> Engine:
    import logging

    import numpy as np
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    logging.disable(logging.CRITICAL)
    extractor = RadiomicsFeatureExtractor(content)

    def execute(image: str, mask: str) -> Features:
        values = extractor.execute(image, mask)
        return {name: float(np.real(value)) for name, value in values.items() if not name.startswith("diagnostics")}

    return execute


def _flash(content: dict[str, Any]) -> Engine:
    from flash_radiomics import RadiomicsFeatureExtractor

    stated = {**content, "setting": {**content["setting"], "additionalInfo": False}}
    extractor = RadiomicsFeatureExtractor(stated, backend="cpu", num_threads=1)
    folder = tempfile.mkdtemp()

    def execute(image: str, mask: str) -> Features:
        found = extractor.execute(image, mask, label=1, output_hdf5_path=f"{folder}/features.h5")
        return {name: float(value) for name, value in found.items() if not name.startswith("diagnostics")}

    return execute


def _cropped(image: str, mask: str) -> tuple[Any, Any, tuple[float, ...]]:
    """Returns image and mask around the region, as those who take arrays are best given them."""
    import numpy as np
    import SimpleITK as sitk

    read = sitk.ReadImage(image)
    voxels, inside = sitk.GetArrayFromImage(read), sitk.GetArrayFromImage(sitk.ReadImage(mask))
    spans = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    box = tuple(slice(max(span[0] - 1, 0), span[-1] + 2) for span in spans)
    return np.ascontiguousarray(voxels[box]), np.ascontiguousarray(inside[box]), read.GetSpacing()[::-1]


def _fastrad(content: dict[str, Any]) -> Engine:
    import warnings

    import numpy as np
    import torch
    from fastrad import FeatureExtractor, FeatureSettings, Mask, MedicalImage

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    families = list(content["featureClass"])
    extractor = FeatureExtractor(FeatureSettings(feature_classes=families, bin_width=25.0, device="cpu"))

    def execute(image: str, mask: str) -> Features:
        voxels, inside, spacing = _cropped(image, mask)
        tensors = (torch.from_numpy(part.astype(np.float32)) for part in (voxels, inside))
        found = extractor.extract(MedicalImage(next(tensors), spacing), Mask(next(tensors), spacing))
        return {f"original_{name.replace(':', '_', 1)}": float(value) for name, value in found.items()}

    return execute


def _numpyradiomics(content: dict[str, Any]) -> Engine:
    import numpy as np
    import numpyradiomics

    def execute(image: str, mask: str) -> Features:
        voxels, inside, spacing = _cropped(image, mask)
        voxels = voxels.astype(np.float64)
        shape = numpyradiomics.shape(inside, spacing, extend=False)
        first = numpyradiomics.firstorder(voxels, inside, voxelVolume=float(np.prod(spacing)), extend=False)
        found = {f"shape_{name}": value for name, value in shape.items()}
        found |= {f"firstorder_{name}": value for name, value in first.items()}
        found |= numpyradiomics.texture(voxels, inside)
        return {f"original_{name}": float(value) for name, value in found.items()}

    return execute


NYXUS_NAMES = {
    "3MEAN": "firstorder_Mean",
    "3MEDIAN": "firstorder_Median",
    "3MIN": "firstorder_Minimum",
    "3MAX": "firstorder_Maximum",
    "3P10": "firstorder_10Percentile",
    "3P90": "firstorder_90Percentile",
    "3INTERQUARTILE_RANGE": "firstorder_InterquartileRange",
    "3RANGE": "firstorder_Range",
    "3ENERGY": "firstorder_Energy",
    "3ENTROPY": "firstorder_Entropy",
    "3KURTOSIS": "firstorder_Kurtosis",
    "3SKEWNESS": "firstorder_Skewness",
    "3UNIFORMITY": "firstorder_Uniformity",
    "3ROOT_MEAN_SQUARED": "firstorder_RootMeanSquared",
    "3MEAN_ABSOLUTE_DEVIATION": "firstorder_MeanAbsoluteDeviation",
    "3ROBUST_MEAN_ABSOLUTE_DEVIATION": "firstorder_RobustMeanAbsoluteDeviation",
    "3VARIANCE": "firstorder_Variance",
    "3AREA": "shape_SurfaceArea",
    "3MESH_VOLUME": "shape_MeshVolume",
    "3VOXEL_VOLUME": "shape_VoxelVolume",
    "3SPHERICITY": "shape_Sphericity",
    "3GLCM_ACOR_AVE": "glcm_Autocorrelation",
    "3GLCM_CLUPROM_AVE": "glcm_ClusterProminence",
    "3GLCM_CLUSHADE_AVE": "glcm_ClusterShade",
    "3GLCM_CLUTEND_AVE": "glcm_ClusterTendency",
    "3GLCM_CONTRAST_AVE": "glcm_Contrast",
    "3GLCM_CORRELATION_AVE": "glcm_Correlation",
    "3GLCM_DIFAVE_AVE": "glcm_DifferenceAverage",
    "3GLCM_DIFENTRO_AVE": "glcm_DifferenceEntropy",
    "3GLCM_DIFVAR_AVE": "glcm_DifferenceVariance",
    "3GLCM_ID_AVE": "glcm_Id",
    "3GLCM_IDM_AVE": "glcm_Idm",
    "3GLCM_JE_AVE": "glcm_JointEntropy",
    "3GLCM_JAVE_AVE": "glcm_JointAverage",
    "3GLCM_SUMENTROPY_AVE": "glcm_SumEntropy",
    **{
        f"3GLRLM_{short}_AVE": f"glrlm_{name}"
        for short, name in (
            ("SRE", "ShortRunEmphasis"),
            ("LRE", "LongRunEmphasis"),
            ("GLN", "GrayLevelNonUniformity"),
            ("RLN", "RunLengthNonUniformity"),
            ("RP", "RunPercentage"),
            ("RE", "RunEntropy"),
            ("LGLRE", "LowGrayLevelRunEmphasis"),
            ("HGLRE", "HighGrayLevelRunEmphasis"),
        )
    },
    **{
        f"3GLSZM_{short}": f"glszm_{name}"
        for short, name in (
            ("SAE", "SmallAreaEmphasis"),
            ("LAE", "LargeAreaEmphasis"),
            ("GLN", "GrayLevelNonUniformity"),
            ("SZN", "SizeZoneNonUniformity"),
            ("ZP", "ZonePercentage"),
            ("ZE", "ZoneEntropy"),
        )
    },
    **{
        f"3NGTDM_{name.upper()}": f"ngtdm_{name}"
        for name in ("Coarseness", "Contrast", "Busyness", "Complexity", "Strength")
    },
}


def _nyxus(content: dict[str, Any]) -> Engine:
    import nyxus

    engine = nyxus.Nyxus3D(["*3D_ALL*"], n_feature_calc_threads=1)

    def execute(image: str, mask: str) -> Features:
        row = engine.featurize_files([image], [mask], False).iloc[0].to_dict()
        found = {name: float(value) for name, value in row.items() if isinstance(value, int | float)}
        return {f"original_{NYXUS_NAMES.get(name, name)}": value for name, value in found.items()}

    return execute


MIRP_NAMES = {
    "stat_mean": "firstorder_Mean",
    "stat_var": "firstorder_Variance",
    "stat_skew": "firstorder_Skewness",
    "stat_median": "firstorder_Median",
    "stat_min": "firstorder_Minimum",
    "stat_max": "firstorder_Maximum",
    "stat_p10": "firstorder_10Percentile",
    "stat_p90": "firstorder_90Percentile",
    "stat_iqr": "firstorder_InterquartileRange",
    "stat_range": "firstorder_Range",
    "stat_mad": "firstorder_MeanAbsoluteDeviation",
    "stat_rmad": "firstorder_RobustMeanAbsoluteDeviation",
    "stat_energy": "firstorder_Energy",
    "stat_rms": "firstorder_RootMeanSquared",
    "morph_volume": "shape_MeshVolume",
    "morph_vol_approx": "shape_VoxelVolume",
    "morph_area_mesh": "shape_SurfaceArea",
    "morph_sphericity": "shape_Sphericity",
    "morph_diam": "shape_Maximum3DDiameter",
    "cm_contrast": "glcm_Contrast",
    "cm_joint_entr": "glcm_JointEntropy",
    "cm_joint_avg": "glcm_JointAverage",
    "cm_energy": "glcm_JointEnergy",
    "cm_corr": "glcm_Correlation",
    "cm_auto_corr": "glcm_Autocorrelation",
    "cm_clust_tend": "glcm_ClusterTendency",
    "rlm_sre": "glrlm_ShortRunEmphasis",
    "rlm_lre": "glrlm_LongRunEmphasis",
    "rlm_r_perc": "glrlm_RunPercentage",
    "rlm_rl_entr": "glrlm_RunEntropy",
    "szm_sze": "glszm_SmallAreaEmphasis",
    "szm_lze": "glszm_LargeAreaEmphasis",
    "szm_z_perc": "glszm_ZonePercentage",
    "ngt_coarseness": "ngtdm_Coarseness",
    "ngt_busyness": "ngtdm_Busyness",
    "ngt_contrast": "ngtdm_Contrast",
    "ngt_complexity": "ngtdm_Complexity",
    "ngt_strength": "ngtdm_Strength",
}


def _mirp(content: dict[str, Any]) -> Engine:
    from mirp import extract_features

    settings = {
        "base_feature_families": ["statistics", "morphology", "cm", "rlm", "szm", "ngtdm", "ngldm"],
        "base_discretisation_method": "fixed_bin_size_pyradiomics",
        "ibsi_compliant": False,
        "base_discretisation_bin_width": 25.0,
        **{f"{family}_spatial_method": "3d_average" for family in ("glcm", "glrlm")},
        **{f"{family}_spatial_method": "3d" for family in ("glszm", "ngtdm", "ngldm")},
        "num_cpus": 1,
    }

    def execute(image: str, mask: str) -> Features:
        row = extract_features(image=image, mask=mask, **settings)[0].iloc[0].to_dict()
        found = {name: float(value) for name, value in row.items() if isinstance(value, int | float)}
        return {f"original_{_mirp_name(name)}": value for name, value in found.items()}

    return execute


def _mirp_name(name: str) -> str:
    short = name.split("_d1")[0].split("_3d")[0]
    return MIRP_NAMES.get(short, name)


ENGINES: dict[str, Callable[[dict[str, Any]], Engine]] = {
    "itk": _itk,
    "fast": _fast,
    "parts": _parts,
    "stock": _stock,
    "precrop": _stock,
    "flash-radiomics": _flash,
    "fastrad": _fastrad,
    "numpyradiomics": _numpyradiomics,
    "nyxus": _nyxus,
    "mirp": _mirp,
}

if __name__ == "__main__":
    work(sys.argv[1])
