"""Rules that train perceptrons without labels, and are trained to."""

from keras_fivo.learned_rules.base import BaseWeights as BaseWeights
from keras_fivo.learned_rules.base import initial_base as initial_base
from keras_fivo.learned_rules.base import run_base as run_base
from keras_fivo.learned_rules.few_shot import FewShotResult as FewShotResult
from keras_fivo.learned_rules.few_shot import (
    evaluate_few_shot as evaluate_few_shot,
)
from keras_fivo.learned_rules.few_shot import few_shot_trials as few_shot_trials
from keras_fivo.learned_rules.meta_training import MetaTraining as MetaTraining
from keras_fivo.learned_rules.model import FewShotProbe as FewShotProbe
from keras_fivo.learned_rules.model import LearnedRuleModel as LearnedRuleModel
from keras_fivo.learned_rules.parallel import TaskParallel as TaskParallel
from keras_fivo.learned_rules.probes import LogisticProbe as LogisticProbe
from keras_fivo.learned_rules.probes import RidgeProbe as RidgeProbe
from keras_fivo.learned_rules.rule import LocalUpdateRule as LocalUpdateRule
from keras_fivo.learned_rules.task_groups import TaskGroup as TaskGroup
