from sapiens_lab.anatomy.parts import Parts as Parts
from sapiens_lab.anatomy.skeleton import Skeleton as Skeleton
