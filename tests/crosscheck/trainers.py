"""Preference pairs -> three real steps of TRL's trainers on a tiny random model, made on the spot. Needs the extra `trainers`.

    python -m tests.crosscheck.trainers outputs/<run>/dataset/preferences.jsonl

The form is told by the file's keys: pairs go to DPOTrainer, labelled completions to KTOTrainer. No network is used.
"""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

STEPS = 3
TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} </s> {% endfor %}{% if add_generation_prompt %}<assistant> {% endif %}"
)


def write_tiny_model(folder: Path, texts: list[str]) -> None:
    """Write a causal model of a few thousand random weights, and a tokenizer that knows the words of these texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.train_from_iterator(texts, trainers.WordLevelTrainer(vocab_size=2_000, special_tokens=["<unk>", "<s>", "</s>", "<pad>"]))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>", chat_template=TEMPLATE
    )
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def trained(path: Path) -> str:
    """Return what the trainer of this file's form says after three steps."""
    from datasets import load_dataset
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

    lines = path.read_text("utf-8").splitlines()
    is_kto = "label" in json.loads(lines[0])
    with TemporaryDirectory() as folder:
        model = Path(folder, "model")
        write_tiny_model(model, [json.dumps(json.loads(line), ensure_ascii=False) for line in lines])
        common = {"output_dir": folder, "max_steps": STEPS, "per_device_train_batch_size": 2, "report_to": [], "use_cpu": True}
        args = KTOConfig(**common) if is_kto else DPOConfig(**common)
        data = load_dataset("json", data_files=str(path), split="train", cache_dir=folder)
        trainer: Any = (KTOTrainer if is_kto else DPOTrainer)(model=str(model), args=args, train_dataset=data)
        done = trainer.train()
    return f"{type(trainer).__name__}: {done.global_step} steps on {len(lines)} lines, loss {done.training_loss:.3f}"


if __name__ == "__main__":
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "WANDB_DISABLED": "true"}
    for name in sys.argv[1:]:
        print(trained(Path(name)))
