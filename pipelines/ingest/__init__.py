"""From what centers send to cases: DICOM, RTSTRUCT, DICOM-SEG, NIfTI and clinical tables, with quality checks."""
