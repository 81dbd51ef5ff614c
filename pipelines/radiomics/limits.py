"""What values radiomics features can have at all: a value outside is a fault of image, mask or engine.

Source: the definitions of each feature in Zwanenburg et al., Image biomarker standardisation initiative,
arXiv:1612.07003v11, and PyRadiomics's documentation of those it defines itself.
"""

ROUNDING = 1e-6
"""Meshes and sums end beside their bounds by so much."""

LIMITS: dict[str, tuple[float | None, float | None]] = {
    # pattern on the feature's name: smallest, largest
    r"_shape_(Sphericity|Elongation|Flatness)$": (0.0, 1.0),
    r"_shape_(MeshVolume|VoxelVolume|SurfaceArea|Maximum3DDiameter|MajorAxisLength)$": (0.0, None),
    r"_firstorder_(Entropy|Energy|Variance|InterquartileRange|Range|MeanAbsoluteDeviation|RootMeanSquared)$": (
        0.0,
        None,
    ),
    r"_firstorder_Uniformity$": (0.0, 1.0),
    r"_glcm_(Correlation|Imc1)$": (-1.0, 1.0),
    r"_glcm_(Id|Idm|Idn|Idmn|Imc2|JointEnergy|MaximumProbability|InverseVariance)$": (0.0, 1.0),
    r"_(glrlm_RunPercentage|glszm_ZonePercentage)$": (0.0, 1.0),
    r"_(glrlm|glszm)_(GrayLevel|RunLength|SizeZone)NonUniformityNormalized$": (0.0, 1.0),
}
