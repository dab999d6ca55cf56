"""Train a model: the same as ``sapiens train``.

python train.py                                                     rendered people, minutes
python train.py experiment=pose/coco17 data.root=datasets/coco      COCO, official recipe
python train.py experiment=pose/coco17 data.root=... debug=overfit  the first thing to try
python train.py resume=auto                                         go on where it stopped
"""

from sapiens_lab.commands.train import train

if __name__ == "__main__":
    train()
