from sapiens_lab.training.callbacks.best_checkpoint import BestCheckpoint as BestCheckpoint
from sapiens_lab.training.callbacks.final_validation import FinalValidation as FinalValidation
from sapiens_lab.training.callbacks.images import FirstBatch as FirstBatch
from sapiens_lab.training.callbacks.images import SampleGrid as SampleGrid
from sapiens_lab.training.callbacks.masking_schedule import MaskingSchedule as MaskingSchedule
from sapiens_lab.training.callbacks.progress import EpochLine as EpochLine
from sapiens_lab.training.callbacks.progress import ProgressBar as ProgressBar
from sapiens_lab.training.callbacks.report import Report as Report
