"""A text -> the control tokens in it, and whose they are: a trainer that reads them so would train on a broken conversation.

Sources: OpenAI's tiktoken and harmony; mistral-common's SpecialTokens; Meta's prompt formats of Llama 2, 3 and 4; the tokenizer
configurations of Gemma 3 and 4, DeepSeek V3, Qwen2.5-VL and Command R. Limit: tokens that are reserved and never used are left out.
"""

import re
from collections.abc import Iterator

# OpenAI's own, then those of the chat templates of Llama 3, Qwen, Phi and Zephyr. A list, because physics writes an average as <|v|>.
SPECIAL_TOKEN = re.compile(
    r"<\|(?:endoftext|startoftext|endofprompt|fim_\w+|im_\w+|start|end|message|channel|constrain|return|call|reserved_\w+"
    r"|begin_of_text|end_of_text|start_header_id|end_header_id|eot_id|eom_id|python_tag|system|user|assistant)\|>"
)
# The tokens of other families that nobody writes for another reason.
UNMISTAKABLE: dict[str, str] = {
    "Llama 2": "<<SYS>> <</SYS>>",
    "Llama 2 and Mistral": "[/INST]",
    "Mistral": """
        [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_CALLS] [TOOL_RESULTS] [/TOOL_RESULTS] [TOOL_CONTENT] [/SYSTEM_PROMPT] [/THINK]
        [IMG_BREAK] [IMG_END] [BEGIN_AUDIO]
    """,
    "Llama 4": """
        <|header_start|> <|header_end|> <|eot|> <|eom|> <|image_start|> <|image_end|> <|tile_x_separator|> <|tile_y_separator|>
        <|python_start|> <|python_end|> <|finetune_right_pad|>
    """,
    "Gemma": """
        <start_of_turn> <end_of_turn> <start_of_image> <end_of_image> <image_soft_token>
        <|turn> <turn|> <|channel> <channel|> <|tool_call> <tool_call|>
    """,
    "DeepSeek": """
        <｜begin▁of▁sentence｜> <｜end▁of▁sentence｜> <｜▁pad▁｜> <｜User｜> <｜Assistant｜> <｜fim▁begin｜> <｜fim▁hole｜> <｜fim▁end｜>
        <｜tool▁calls▁begin｜> <｜tool▁calls▁end｜> <｜tool▁call▁begin｜> <｜tool▁call▁end｜> <｜tool▁sep｜> <|EOT|>
        <｜tool▁outputs▁begin｜> <｜tool▁outputs▁end｜> <｜tool▁output▁begin｜> <｜tool▁output▁end｜>
    """,
    "Qwen": """
        <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|> <|object_ref_start|> <|object_ref_end|>
        <|box_start|> <|box_end|> <|quad_start|> <|quad_end|> <|repo_name|> <|file_sep|>
    """,
    "Cohere": """
        <|START_OF_TURN_TOKEN|> <|END_OF_TURN_TOKEN|> <|SYSTEM_TOKEN|> <|USER_TOKEN|> <|CHATBOT_TOKEN|> <|START_THINKING|> <|END_THINKING|>
        <|START_ACTION|> <|END_ACTION|> <|START_TOOL_RESULT|> <|END_TOOL_RESULT|> <|START_RESPONSE|> <|END_RESPONSE|>
        <|START_TEXT|> <|END_TEXT|> <BOS_TOKEN> <EOS_TOKEN>
    """,
}
# Tokens that also stand in lessons: <s> strikes through in HTML, [IMG] is BBCode, [ARGS] a placeholder in a command's usage,
# [SYSTEM_PROMPT] a Python list, <|step|> the mean length of a step, and who teaches language models writes <pad> and [INST].
ALSO_ORDINARY: dict[str, str] = {
    "Llama 2 and Mistral": "[INST] <s> </s> <unk>",
    "Mistral": "[SYSTEM_PROMPT] [THINK] [IMG] [AUDIO] [TRANSCRIBE] [ARGS] [CALL_ID] [PREFIX] [MIDDLE] [SUFFIX]",
    "Llama 4": "<|image|> <|patch|> <|step|>",
    "Gemma": "<bos> <eos> <pad> <mask>",
}
MISSPELT = "a misspelt token"  # no tokenizer reads <| endoftext |>, with blanks, but it is left over from one


def families(tokens: dict[str, str]) -> dict[str, str]:
    """Return each token's family."""
    return {token: family for family, listed in tokens.items() for token in listed.split()}


def _any_of(tokens: dict[str, str]) -> str:
    return "|".join(re.escape(token) for token in families(tokens))


FAMILY_OF = families(UNMISTAKABLE) | families(ALSO_ORDINARY)
UNMISTAKABLE_TOKEN = re.compile(f"{SPECIAL_TOKEN.pattern}|{_any_of(UNMISTAKABLE)}")
SPACED_TOKEN = SPECIAL_TOKEN.pattern.replace(r"<\|", r"<\|[ ]+").replace(r"\|>", r"[ ]+\|>")
FOREIGN_TOKEN = re.compile(f"{_any_of(UNMISTAKABLE)}|{_any_of(ALSO_ORDINARY)}|{SPACED_TOKEN}")


def foreign_tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield the first token of each family in `text`, and the family; those of `SPECIAL_TOKEN` are left out."""
    seen = set[str]()
    for found in FOREIGN_TOKEN.finditer(text) if "<" in text or "[" in text else ():
        family = FAMILY_OF.get(found[0], MISSPELT)
        if family not in seen:
            seen.add(family)
            yield found[0], family
