from .data import ExperimentData as ExperimentData, load as load, load_bags as load_bags
from .folds import folds_for as folds_for
from .methods import MethodSettings as MethodSettings
from .reading import read_experiment as read_experiment
from .settings import Experiment as Experiment
