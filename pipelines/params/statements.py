"""What only a person can state of a study: the keys of `study.statements`, each with what belongs there.

Reporting checklists (CLEAR, TRIPOD+AI, METRICS) take these texts where no record of the study can answer.
"""

STATEMENTS: dict[str, str] = {
    # how the study was planned
    "title": "The title of the paper; it says radiomics, modality, outcome, and whether there was external validation.",
    "abstract": "Where the structured abstract is, or its text.",
    "keywords": "The paper's keywords.",
    "background": "The clinical problem, whether diagnostic or prognostic, and what models exist.",
    "rationale": "Why a radiomic approach, and what it could change in care.",
    "objectives": "What the study sets out to do: development, validation, or both.",
    "target_population": "Whom the model is for, where in the care pathway, and who would use it.",
    "health_inequalities": "Known inequalities between sociodemographic groups, or that none are known.",
    "guidelines": "Which reporting guidelines were followed in design and report, and where the filled checklist is.",
    "ethics": "The committee that approved the study, consent or its waiver, and how identities are protected.",
    "registration": "Register and number, or that the study was not registered.",
    "protocol": "Where the protocol is, or that none was prepared.",
    "patient_involvement": "How patients and the public took part, or that they did not.",
    "funding": "Who paid, and what part they had.",
    "conflicts": "Conflicts of interest of all authors, or that there are none.",
    "sample_size": "How the number of patients came about, with any calculation.",
    # patients and outcome
    "design": "Prospective or retrospective, cohort or case-control, consecutive or not.",
    "setting": "Kind of hospitals, their number and places.",
    "dates": "First and last date of inclusion, and end of follow-up.",
    "representative": "Why the patients stand for those whom the model is for.",
    "treatments": "Treatments received and how they were dealt with, or that there were none before imaging.",
    "data_source": "Private or public, with links, and which source serves which part of the study.",
    "data_overlap": "Which patients were in earlier publications, and how the studies differ.",
    "reference_standard": "How the outcome was determined, by whom, why so, and what its errors are.",
    "outcome_assessors": "Training and characteristics of those who judged the outcome; or that it needs no judging.",
    "outcome_blinding": "Whether those who judged the outcome were blind to images and model.",
    "interval": "The time between imaging and reference standard.",
    # images, outlines, predictors
    "imaging_protocol": "Patient preparation, contrast agent and timing, reconstruction; what the files do not say.",
    "imaging_standard": "Which guideline or routine protocol the imaging follows.",
    "segmentation": "Software with version, manual or not, rules at the border, which lesions.",
    "readers": "How many people outlined, their experience, and how they came to one outline.",
    "automated_segmentation": "yes or no: outlines come from a fully automatic tool.",
    "segmentation_accuracy": "For automatic outlines: how they were compared with an expert's, with the result.",
    "test_segmentation": "Whether outlines of the test patients come from one reader or one tool, as in practice.",
    "preprocessing": "What was done to images before they were sent: registration, bias field, denoising.",
    "predictor_choice": "How clinical predictors were chosen.",
    "predictor_measurement": "How and when predictors were measured, and whether blind to the outcome.",
    "predictor_assessors": "Training of those who judged predictors by eye; or that none are judged.",
    # modelling
    "confounders": "What could confound, how it was looked for, and what was done about it.",
    "fairness": "What was done so that groups are served alike, or that nothing was.",
    "robustness": "How the deep models' answers were tested against repeated scans, outlines or perturbations.",
    "dimensionality": "Why the number of features suits the number of patients.",
    "interpretation_methods": "How the model's answers were explained, beyond what the study page shows.",
    "clinical_comparison": "How the model compares with today's practice: readers, scores, lesion size.",
    # discussion
    "findings": "The main findings, where the study stands (proof of concept to deployment), and fairness.",
    "previous_work": "Earlier studies and what is different here.",
    "implications": "What the results mean in practice and what stands in the way.",
    "limitations": "Strengths and limitations: bias, uncertainty, generalizability.",
    "input_quality": "What to do in use when images or values are poor or missing.",
    "user_interaction": "What users must do with inputs and model, and what they must know.",
    "next_steps": "Further research, with a view to applicability.",
    # sharing
    "image_sharing": "Where images and outlines can be had, or why not.",
    "data_sharing": "Where features, clinical values and labels can be had, or why not.",
    "settings_sharing": "Where this study's params.yaml can be had.",
    "code_sharing": "Where the code of the analysis can be had.",
    "model_sharing": "Where the model package can be had, with its terms, or why not.",
    "ready_to_use": "A system on which others can try the model, or that there is none.",
}


def spoken(value: object) -> object:
    """Returns YAML's yes and no as words: `automated_segmentation: no` reads as false."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value
