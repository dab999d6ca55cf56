from sapiens_lab.inference.predictor import Predictor as Predictor
from sapiens_lab.models.mae import MaskedAutoencoder as MaskedAutoencoder
from sapiens_lab.models.sapiens import Sapiens as Sapiens
from sapiens_lab.weights.catalog import list_models as list_models
from sapiens_lab.weights.model import load_model as load_model
from sapiens_lab.weights.model import save_model as save_model

__version__: str
