"""Each fusion against the models it joins."""

from typing import Any

from pipelines.evaluation.model_records import members_of
from pipelines.reporting.study_files import StudyFiles, cohort_words

Content = dict[str, Any]


def fusion_content(files: StudyFiles) -> list[Content]:
    """Returns each fusion against each of its members on held-out patients."""
    table = files.tables["comparisons"]
    rows: list[Content] = []
    for name, records in files.models.items():
        members = members_of(records.fusion)
        for row in table.to_dict("records") if members else []:
            pair = {row["model_a"], row["model_b"]}
            member = next(iter(pair - {name}), None)
            if name in pair and member in members:
                sign = 1 if row["model_a"] == name else -1
                low, high = sorted((sign * row["low"], sign * row["high"]))
                seen: Content = {str(key): value for key, value in row.items()}
                seen |= {"fusion": name, "member": member, "words": cohort_words(str(row["cohort"]))}
                seen |= {"difference": sign * row["difference"], "difference_low": low, "difference_high": high}
                rows.append(seen)
    return rows
