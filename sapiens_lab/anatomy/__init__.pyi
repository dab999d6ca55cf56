from sapiens_lab.anatomy.conversion import ConvertedPoints as ConvertedPoints
from sapiens_lab.anatomy.conversion import convert_points as convert_points
from sapiens_lab.anatomy.conversion import missing_points as missing_points
from sapiens_lab.anatomy.parts import Parts as Parts
from sapiens_lab.anatomy.skeleton import Skeleton as Skeleton
