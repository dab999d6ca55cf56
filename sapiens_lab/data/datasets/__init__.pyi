from sapiens_lab.data.datasets.coco_parts import CocoParts as CocoParts
from sapiens_lab.data.datasets.coco_pose import CocoPose as CocoPose
from sapiens_lab.data.datasets.depth_maps import DepthMaps as DepthMaps
from sapiens_lab.data.datasets.image_folder import ImageFolder as ImageFolder
from sapiens_lab.data.datasets.image_shards import ImageShards as ImageShards
from sapiens_lab.data.datasets.normal_maps import NormalMaps as NormalMaps
from sapiens_lab.data.datasets.part_masks import PartMasks as PartMasks
from sapiens_lab.data.datasets.synthetic_people import SyntheticPeople as SyntheticPeople
