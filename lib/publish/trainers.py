"""The data set's JSONL files -> what single trainers want beside them.

mlx-lm reads `train.jsonl` and `valid.jsonl`. LLaMA-Factory reads `dataset_info.json`.
"""

import shutil

from lib.run.files import whole_file, write_json
from lib.run.records import remove
from lib.run.run import Run

ROLES = {f"{name}_tag": name for name in ("user", "assistant", "system")}
TAGS = {"role_tag": "role", "content_tag": "content", **ROLES}


def write_for_trainers(run: Run, *, counts: dict[str, int]) -> None:
    """Write `valid.jsonl`, which holds the lines of `validation.jsonl`, and `dataset_info.json`."""
    valid = run.dataset / "valid.jsonl"
    if counts.get("validation"):
        with (run.dataset / "validation.jsonl").open("rb") as lines, whole_file(valid, binary=True) as file:
            shutil.copyfileobj(lines, file)
    else:
        remove(valid)
    sides = {f"tutoring_{side}" if side != "train" else "tutoring": f"{side}.jsonl" for side, count in counts.items() if count}
    form = {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": TAGS}
    write_json(run.dataset / "dataset_info.json", {name: {"file_name": file_name, **form} for name, file_name in sides.items()})
