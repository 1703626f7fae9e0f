from .calibration.triage import TriagePolicy as TriagePolicy
from .deploy import Bundle as Bundle, Panel as Panel, predict as predict
from .deploy.recalibration import recalibrate as recalibrate
from .diagnosis import Diagnosis as Diagnosis, diagnose as diagnose
from .drafting import Draft as Draft, Given as Given, draft_experiment as draft_experiment
from .errors import HistodistillError as HistodistillError, InputError as InputError
from .evaluation import (
    compare as compare,
    contenders_in as contenders_in,
    evaluate as evaluate,
    read_predictions as read_predictions,
)
from .experiment import Experiment as Experiment, load as load, read_experiment as read_experiment
from .experiment.audit import audit as audit
from .features import BagStore as BagStore, open_bags as open_bags
from .genomics import read_genomic_table as read_genomic_table
from .workflows.extraction import (
    EncoderChoice as EncoderChoice,
    ExtractionComputing as ExtractionComputing,
    ExtractionRequest as ExtractionRequest,
    TissueFiles as TissueFiles,
    extract as extract,
)
from .explanation.expression import (
    ExpressionMap as ExpressionMap,
    explain_expression as explain_expression,
)
from .explanation.gene_ranking import GeneRanking as GeneRanking
from .explanation.gene_shares import GeneShares as GeneShares, explain_genes as explain_genes
from .explanation.predictability import predictability as predictability
from .explanation.patients import PatientMap as PatientMap, explain as explain
from .workflows.explanation import (
    ExplanationSettings as ExplanationSettings,
    explain_patients as explain_patients,
)
from .workflows.feature_explanation import (
    FeaturesExplained as FeaturesExplained,
    explain_run_features as explain_run_features,
)
from .workflows.gene_explanation import (
    GenesExplained as GenesExplained,
    TrainedBy as TrainedBy,
    explain_bundle_genes as explain_bundle_genes,
    explain_run_genes as explain_run_genes,
)
from .workflows.new_slide_settings import NewSlideSettings as NewSlideSettings
from .workflows.new_slides import predict_slides as predict_slides
from .training import (
    cross_validate as cross_validate,
    fold_ensemble as fold_ensemble,
    train_final as train_final,
    train_panel as train_panel,
)
from .workflows.external_evaluation import (
    LabelTable as LabelTable,
    label_predictions as label_predictions,
)
from .workflows.run_report import (
    ReportSettings as ReportSettings,
    report_run as report_run,
    run_report as run_report,
)
from .workflows.new_features import NewFeatures as NewFeatures
from .workflows.prediction import (
    PredictionRequest as PredictionRequest,
    plan_prediction as plan_prediction,
    read_blocks as read_blocks,
)
