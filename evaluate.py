"""Measure a trained model: the same as ``sapiens evaluate``.

python evaluate.py                                       the latest run of the default experiment
python evaluate.py experiment=pose/coco17 ckpt_path=auto
python evaluate.py ckpt_path=outputs/pose/coco17/2026-01-31_12-00-00/checkpoints/best.ckpt
"""

from sapiens_lab.commands.evaluate import evaluate

if __name__ == "__main__":
    evaluate()
