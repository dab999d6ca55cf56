"""The renderer serves programs that have neither torch nor a data set."""

from __future__ import annotations

import subprocess
import sys


def test_scenes_are_rendered_and_written_without_torch() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'lightning', 'hydra')))\n"
        "from sapiens_lab.synthetic import render_scene\n"
        "import sapiens_lab.synthetic.files.export, sapiens_lab.synthetic.files.prepare\n"
        "import sapiens_lab.synthetic.scans.views\n"
        "assert render_scene(0, image_size=(32, 24)).mask.any()\n"
        "assert 'sapiens_lab.data' not in sys.modules\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
