from sapiens_lab.weights.catalog import find_release as find_release
from sapiens_lab.weights.catalog import list_models as list_models
from sapiens_lab.weights.load import LoadReport as LoadReport
from sapiens_lab.weights.load import load_weights as load_weights
from sapiens_lab.weights.model import load_model as load_model
from sapiens_lab.weights.model import save_model as save_model
from sapiens_lab.weights.publish import push_to_hub as push_to_hub
