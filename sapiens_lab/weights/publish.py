"""An export on the hub, with a card that says what it is and under which terms."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi

from sapiens_lab.atomic import write_text
from sapiens_lab.models.spec import TARGET
from sapiens_lab.weights.description import Description, output_names
from sapiens_lab.weights.files import CONFIG, TENSORS

CARD = "README.md"


def push_to_hub(
    folder: str | Path, repo: str, *, private: bool = True, license: str | None = None
) -> str:
    """Publish an export's folder and return the address of its page.

    Args:
        folder: written by a run or by ``save_model``; a card is added where it has none.
        repo: ``owner/name``; made if needed.
        private: visible to you alone.
        license: of weights that started from nothing; others keep the one they came with.

    Raises:
        FileNotFoundError: the folder holds no export.
        ValueError: no license is known, or another one is given than the weights came with.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file() or not (folder / TENSORS).is_file():
        raise FileNotFoundError(f"{folder} holds no export ({CONFIG} and {TENSORS})")
    description = Description.from_json(folder / CONFIG)
    if description is None or description.model is None:
        raise ValueError(f"{folder / CONFIG} was not written by sapiens_lab")
    terms = _license(description, license)
    card = folder / CARD
    if not card.exists():
        write_text(card, model_card(description, repo=repo, license=terms))
    elif terms.lower() not in card.read_text().lower():
        raise ValueError(f"{card} does not name the license {terms}, which the weights carry")
    api = HfApi()
    api.create_repo(repo, private=private, exist_ok=True)
    api.upload_folder(repo_id=repo, folder_path=folder, allow_patterns=[CONFIG, TENSORS, CARD])
    return f"https://huggingface.co/{repo}"


def model_card(description: Description, *, repo: str, license: str) -> str:
    """Return the text of a card: front matter for the hub, and what people need to use it."""
    name = description.task_name
    described = output_names(description.task)
    outputs = f"\nOutputs: {', '.join(described)}.\n" if described else ""
    origin = f" Started from {description.origin}." if description.origin else ""
    backbone = (description.model or {})["backbone"]
    encoder = backbone.get("name") or backbone[TARGET].rpartition(".")[2]
    height, width = backbone["image_size"]
    return f"""---
license: {license.lower()}
library_name: sapiens_lab
tags: [sapiens_lab, {name}]
---
# {repo.split("/")[-1]}

A model for {name}, made with sapiens_lab: {encoder}, images of {height}x{width}.{origin}
{outputs}
```python
import sapiens_lab

model = sapiens_lab.load_model("FOLDER")  # of this repository's files
```

License of the weights: {license}.
"""


def _license(description: Description, given: str | None) -> str:
    carried = description.license
    if carried is not None and given is not None and given.lower() != carried.lower():
        raise ValueError(f"these weights came with {carried}; they cannot be published as {given}")
    if carried is None and given is None:
        started = description.origin
        origin = f"they started from {started}" if started else "none came with them"
        raise ValueError(f"the license of these weights is not known ({origin}); give license=")
    return str(carried or given)
