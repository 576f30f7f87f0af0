"""Methods turn tallies into credit; one family a file. A new method is one file and one line in METHODS."""

from types import MappingProxyType

from attrib.methods.additive_hazard import AdditiveHazard
from attrib.methods.bagged_logistic import BaggedLogistic
from attrib.methods.base import Method, snake_case
from attrib.methods.incremental import Incremental
from attrib.methods.markov import Markov
from attrib.methods.rules import CustomWeights, FirstTouch, LastNonDirect, LastTouch, Linear, PositionBased, TimeDecay
from attrib.methods.shao_li import ShaoLi
from attrib.methods.shapley import Shapley

METHODS: MappingProxyType[str, type[Method]] = MappingProxyType({
    snake_case(method.__name__): method
    for method in (
        FirstTouch, LastTouch, LastNonDirect, Linear, PositionBased, TimeDecay, CustomWeights, Markov, Shapley,
        ShaoLi, BaggedLogistic, AdditiveHazard, Incremental,
    )
})  # fmt: skip

__all__ = [
    "METHODS",
    "AdditiveHazard",
    "BaggedLogistic",
    "CustomWeights",
    "FirstTouch",
    "Incremental",
    "LastNonDirect",
    "LastTouch",
    "Linear",
    "Markov",
    "Method",
    "PositionBased",
    "ShaoLi",
    "Shapley",
    "TimeDecay",
]
