"""Generative models of sequences with uncertainty, for Keras 3."""

from keras_fivo import linear_gaussian as linear_gaussian
from keras_fivo import metrics as metrics
from keras_fivo import structural as structural
from keras_fivo.arrays import load_arrays as load_arrays
from keras_fivo.bounds import ELBO as ELBO
from keras_fivo.bounds import FIVO as FIVO
from keras_fivo.bounds import IWAE as IWAE
from keras_fivo.bounds import Bound as Bound
from keras_fivo.cells import GHMMCell as GHMMCell
from keras_fivo.cells import LatentCell as LatentCell
from keras_fivo.cells import LinearGaussianCell as LinearGaussianCell
from keras_fivo.cells import SRNNCell as SRNNCell
from keras_fivo.cells import (
    StochasticVolatilityCell as StochasticVolatilityCell,
)
from keras_fivo.cells import StructuralCell as StructuralCell
from keras_fivo.cells import SVGCell as SVGCell
from keras_fivo.cells import SwitchingCell as SwitchingCell
from keras_fivo.cells import VRNNCell as VRNNCell
from keras_fivo.distributions import (
    AutoregressiveBernoulli as AutoregressiveBernoulli,
)
from keras_fivo.distributions import (
    AutoregressiveNormal as AutoregressiveNormal,
)
from keras_fivo.distributions import Bernoulli as Bernoulli
from keras_fivo.distributions import Categorical as Categorical
from keras_fivo.distributions import (
    DiscretizedLogisticMixture as DiscretizedLogisticMixture,
)
from keras_fivo.distributions import Distribution as Distribution
from keras_fivo.distributions import Joint as Joint
from keras_fivo.distributions import Laplace as Laplace
from keras_fivo.distributions import MultivariateNormal as MultivariateNormal
from keras_fivo.distributions import NegativeBinomial as NegativeBinomial
from keras_fivo.distributions import Normal as Normal
from keras_fivo.distributions import NormalMixture as NormalMixture
from keras_fivo.distributions import OneHotCategorical as OneHotCategorical
from keras_fivo.distributions import Poisson as Poisson
from keras_fivo.distributions import QuantizedNormal as QuantizedNormal
from keras_fivo.distributions import StudentT as StudentT
from keras_fivo.heads import (
    AutoregressiveBernoulliHead as AutoregressiveBernoulliHead,
)
from keras_fivo.heads import (
    AutoregressiveNormalHead as AutoregressiveNormalHead,
)
from keras_fivo.heads import BernoulliHead as BernoulliHead
from keras_fivo.heads import CategoricalHead as CategoricalHead
from keras_fivo.heads import (
    DiscretizedLogisticMixtureHead as DiscretizedLogisticMixtureHead,
)
from keras_fivo.heads import Head as Head
from keras_fivo.heads import JointHead as JointHead
from keras_fivo.heads import LaplaceHead as LaplaceHead
from keras_fivo.heads import NegativeBinomialHead as NegativeBinomialHead
from keras_fivo.heads import NormalHead as NormalHead
from keras_fivo.heads import NormalMixtureHead as NormalMixtureHead
from keras_fivo.heads import PoissonHead as PoissonHead
from keras_fivo.heads import QuantizedNormalHead as QuantizedNormalHead
from keras_fivo.heads import StudentTHead as StudentTHead
from keras_fivo.inference import Forecast as Forecast
from keras_fivo.inference import SmoothingResult as SmoothingResult
from keras_fivo.inference import evidence_increments as evidence_increments
from keras_fivo.inference import lineage as lineage
from keras_fivo.inference import load_state as load_state
from keras_fivo.inference import save_state as save_state
from keras_fivo.inputs import pad_sequences as pad_sequences
from keras_fivo.latent_sequence_model import KLWarmUp as KLWarmUp
from keras_fivo.latent_sequence_model import (
    LatentSequenceModel as LatentSequenceModel,
)
from keras_fivo.learned_rules import BaseWeights as BaseWeights
from keras_fivo.learned_rules import FewShotProbe as FewShotProbe
from keras_fivo.learned_rules import FewShotResult as FewShotResult
from keras_fivo.learned_rules import LearnedRuleModel as LearnedRuleModel
from keras_fivo.learned_rules import LocalUpdateRule as LocalUpdateRule
from keras_fivo.learned_rules import LogisticProbe as LogisticProbe
from keras_fivo.learned_rules import MetaTraining as MetaTraining
from keras_fivo.learned_rules import RidgeProbe as RidgeProbe
from keras_fivo.learned_rules import TaskGroup as TaskGroup
from keras_fivo.learned_rules import TaskParallel as TaskParallel
from keras_fivo.learned_rules import evaluate_few_shot as evaluate_few_shot
from keras_fivo.learned_rules import few_shot_trials as few_shot_trials
from keras_fivo.learned_rules import initial_base as initial_base
from keras_fivo.learned_rules import run_base as run_base
from keras_fivo.networks import HighwayNetwork as HighwayNetwork
from keras_fivo.networks import Network as Network
from keras_fivo.networks import clipped_leaky_relu as clipped_leaky_relu
from keras_fivo.presets import preset_folder as preset_folder
from keras_fivo.proposals import (
    ExactFilteringProposal as ExactFilteringProposal,
)
from keras_fivo.proposals import (
    ExactSmoothingProposal as ExactSmoothingProposal,
)
from keras_fivo.proposals import FilteringProposal as FilteringProposal
from keras_fivo.proposals import GradientUpdate as GradientUpdate
from keras_fivo.proposals import HighwayUpdate as HighwayUpdate
from keras_fivo.proposals import IterativeProposal as IterativeProposal
from keras_fivo.proposals import LearnedSGDUpdate as LearnedSGDUpdate
from keras_fivo.proposals import (
    LinearFilteringProposal as LinearFilteringProposal,
)
from keras_fivo.proposals import (
    LinearSmoothingProposal as LinearSmoothingProposal,
)
from keras_fivo.proposals import Proposal as Proposal
from keras_fivo.proposals import Refinement as Refinement
from keras_fivo.proposals import SmoothingProposal as SmoothingProposal
from keras_fivo.proposals import TransitionProposal as TransitionProposal
from keras_fivo.proposals import Update as Update
from keras_fivo.smc import Always as Always
from keras_fivo.smc import AtSteps as AtSteps
from keras_fivo.smc import Criterion as Criterion
from keras_fivo.smc import EffectiveSampleSize as EffectiveSampleSize
from keras_fivo.smc import FilterResult as FilterResult
from keras_fivo.smc import Multinomial as Multinomial
from keras_fivo.smc import Never as Never
from keras_fivo.smc import Relaxed as Relaxed
from keras_fivo.smc import Replay as Replay
from keras_fivo.smc import ResamplingScheme as ResamplingScheme
from keras_fivo.smc import Stratified as Stratified
from keras_fivo.smc import Systematic as Systematic
from keras_fivo.smc import effective_sample_size as effective_sample_size
from keras_fivo.smc import log_mean_exp as log_mean_exp
from keras_fivo.twists import ExactTwist as ExactTwist
from keras_fivo.twists import LookAheadTwist as LookAheadTwist
from keras_fivo.twists import OneStepTwist as OneStepTwist
from keras_fivo.twists import QuadraticTwist as QuadraticTwist
from keras_fivo.twists import Twist as Twist
from keras_fivo.types import StepResult as StepResult
