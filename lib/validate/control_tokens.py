"""Find control tokens in a text, because a trainer that obeys one would train on a broken conversation.

The sources are OpenAI's tiktoken and harmony, mistral-common's SpecialTokens, Meta's prompt formats of Llama 2, 3 and 4, and the
tokenizer configurations of Gemma 3 and 4, DeepSeek V3, Qwen2.5-VL and Command R. Reserved tokens that are never used are left out.
"""

import re

OPENAI = "OpenAI"
# OpenAI's own tokens, then those of the chat templates of Llama 3, Qwen, Phi and Zephyr.
# The pattern lists them, because physics writes an average as <|v|>.
SPECIAL = (
    r"<\|(?:endoftext|startoftext|endofprompt|fim_\w+|im_\w+|start|end|message|channel|constrain|return|call|reserved_\w+"
    r"|begin_of_text|end_of_text|start_header_id|end_header_id|eot_id|eom_id|python_tag|system|user|assistant)\|>"
)
# A pattern -> the family of models whose tokens it finds. Nobody writes these for another reason.
UNMISTAKABLE = {
    r"<</?SYS>>": "Llama 2",
    r"\[/INST\]": "Llama 2 and Mistral",
    r"\[(?:/?AVAILABLE_TOOLS|/?TOOL_RESULTS|TOOL_CALLS|TOOL_CONTENT|/SYSTEM_PROMPT|/THINK|IMG_BREAK|IMG_END|BEGIN_AUDIO)\]": "Mistral",
    r"<\|(?:(?:header|image|python)_(?:start|end)|eot|eom|tile_[xy]_separator|finetune_right_pad)\|>": "Llama 4",
    r"<(?:(?:start|end)_of_(?:turn|image)|image_soft_token|\|(?:turn|channel|tool_call)|(?:turn|channel|tool_call)\|)>": "Gemma",
    r"<｜(?:(?:begin|end)▁of▁sentence|▁pad▁|User|Assistant|fim▁(?:begin|hole|end))｜>|<\|EOT\|>": "DeepSeek",
    r"<｜tool▁(?:(?:call|output)s?▁(?:begin|end)|sep)｜>": "DeepSeek",
    r"<\|(?:vision_(?:start|end|pad)|(?:image|video)_pad|(?:object_ref|box|quad)_(?:start|end)|repo_name|file_sep)\|>": "Qwen",
    r"<\|(?:START|END)_(?:OF_TURN_TOKEN|THINKING|ACTION|TOOL_RESULT|RESPONSE|TEXT)\|>": "Cohere",
    r"<\|(?:SYSTEM|USER|CHATBOT)_TOKEN\|>|<[BE]OS_TOKEN>": "Cohere",
}
# Tokens that also stand in lessons: <s> strikes through in HTML, [IMG] is BBCode, [ARGS] a placeholder in a command's usage,
# [SYSTEM_PROMPT] a Python list, <|step|> the mean length of a step, and who teaches language models writes <pad> and [INST].
ALSO_ORDINARY = {
    r"\[INST\]": "Llama 2 and Mistral",
    r"</?s>|<unk>": "Llama 2 and Mistral",
    r"\[(?:SYSTEM_PROMPT|THINK|IMG|AUDIO|TRANSCRIBE|ARGS|CALL_ID|PREFIX|MIDDLE|SUFFIX)\]": "Mistral",
    r"<\|(?:image|patch|step)\|>": "Llama 4",
    r"<(?:bos|eos|pad|mask)>": "Gemma",
}
# No tokenizer reads <| endoftext |>, with blanks, but it is left over from a token.
SPACED = SPECIAL.replace(r"<\|", r"<\| +").replace(r"\|>", r" +\|>")

FAMILIES = {SPECIAL: OPENAI} | UNMISTAKABLE | ALSO_ORDINARY | {SPACED: "a chat template, misspelt with blanks"}
UNMISTAKABLE_TOKEN = re.compile("|".join([SPECIAL, *UNMISTAKABLE]))
CONTROL_TOKEN = re.compile("|".join(FAMILIES))


def control_tokens(text: str) -> dict[str, str]:
    """Return family -> the first of its control tokens in `text`. The family of a special token is `OPENAI`."""
    if "<" not in text and "[" not in text:
        return {}
    tokens: dict[str, str] = {}
    for token in dict.fromkeys(match[0] for match in CONTROL_TOKEN.finditer(text)):
        family = next(family for pattern, family in FAMILIES.items() if re.fullmatch(pattern, token))
        tokens.setdefault(family, token)
    return tokens
