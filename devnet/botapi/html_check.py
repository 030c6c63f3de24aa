"""Parse the HTML of a message as Telegram does, with its error texts and byte offsets.

The rules follow tdlib's parser (td/telegram/MessageEntity.cpp, parse_html): few tags, four named character
references, attributes that it does not know ignored, entity offsets in UTF-16 code units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devnet.botapi.errors import ApiError, bad_request
from devnet.botapi.links import normalised_url

Entity = dict[str, Any]

_TYPES = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "code": "code",
    "pre": "pre",
}
_TAGS = {*_TYPES, "a", "tg-emoji", "blockquote"}
_REFERENCES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_SPACE = " \t\r\n\0\v"
_NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"


def utf16_length(text: str) -> int:
    """Count UTF-16 code units, the unit of entity offsets."""
    return len(text.encode("utf-16-le")) // 2


@dataclass(frozen=True, slots=True)
class _OpenTag:
    name: str
    argument: str
    offset: int
    start: int


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.out: list[str] = []
        self.length = 0
        self.size = 0
        self.open: list[_OpenTag] = []
        self.entities: list[Entity] = []

    def run(self) -> tuple[str, list[Entity]]:
        while self.at < len(self.source):
            char = self.source[self.at]
            if char == "&":
                self._emit(self._reference() or self._literal())
            elif char == "<":
                self._tag()
            else:
                self._emit(self._literal())
        if self.open:
            raise _cannot_parse(f'Can\'t find end tag corresponding to start tag "{self.open[-1].name}"')
        return "".join(self.out), [entity for entity in self.entities if entity["length"] > 0]

    def _peek(self) -> str:
        return self.source[self.at] if self.at < len(self.source) else ""

    def _bytes(self, at: int) -> int:
        return len(self.source[:at].encode())

    def _fail(self, text: str, at: int) -> ApiError:
        return _cannot_parse(text.replace("@", f"at byte offset {self._bytes(at)}", 1))

    def _emit(self, text: str) -> None:
        self.out.append(text)
        self.length += utf16_length(text)
        self.size += 1

    def _literal(self) -> str:
        char = self.source[self.at]
        self.at += 1
        return char

    def _reference(self) -> str:
        """Decode a character reference at the cursor; return "" and stay when there is none."""
        rest = self.source[self.at + 1 : self.at + 12]
        if rest.startswith("#"):
            return self._numeric_reference(rest)
        for name, char in _REFERENCES.items():
            if rest.startswith(name) and not rest[len(name) : len(name) + 1].isalpha():
                self.at += 1 + len(name) + (rest[len(name) : len(name) + 1] == ";")
                return char
        return ""

    def _numeric_reference(self, rest: str) -> str:
        is_hex = rest[1:2] in ("x", "X")
        alphabet = "0123456789abcdefABCDEF" if is_hex else "0123456789"
        begin = 2 if is_hex else 1
        end = begin
        while end < len(rest) and rest[end] in alphabet:
            end += 1
        code = int(rest[begin:end] or "0", 16 if is_hex else 10)
        if code == 0 or code >= 0x10FFFF or end >= 10:
            return ""
        if 0xD800 <= code <= 0xDFFF:
            raise _cannot_parse(
                "Text contains invalid Unicode characters after decoding HTML entities, "
                "check for unmatched surrogate code units"
            )
        self.at += 1 + end + (rest[end : end + 1] == ";")
        return chr(code)

    def _tag(self) -> None:
        begin = self.at
        self.at += 1
        if self._peek() == "/":
            self._end_tag(begin)
        else:
            self._start_tag(begin)

    def _word(self, stops: str) -> str:
        begin = self.at
        while self._peek() and self._peek() not in stops:
            self.at += 1
        return self.source[begin : self.at]

    def _skip_space(self) -> None:
        while self._peek() and self._peek() in _SPACE:
            self.at += 1

    def _start_tag(self, begin: int) -> None:
        name = self._word(_SPACE + ">").lower()
        if not self._peek():
            raise self._fail("Unclosed start tag @", begin)
        if name not in _TAGS:
            raise self._fail(f'Unsupported start tag "{name}" @', begin)
        argument = ""
        while True:
            self._skip_space()
            if self._peek() == ">":
                break
            attribute, value = self._attribute(name, begin)
            argument = _argument(name, attribute, value) or argument
        self.at += 1
        if name == "span" and argument != "spoiler":
            raise self._fail('Tag "span" must have class "tg-spoiler" @', begin)
        self.open.append(_OpenTag(name, argument, self.length, self.size))

    def _attribute(self, tag: str, begin: int) -> tuple[str, str]:
        attribute = self._word(_SPACE + "=>").lower()
        if not attribute and self._peek():
            raise self._fail(f'Empty attribute name in the tag "{tag}" @', begin)
        self._skip_space()
        value = ""
        if self._peek() == "=":
            self.at += 1
            self._skip_space()
            if not self._peek():
                raise self._fail(f'Unclosed start tag "{tag}" @', begin)
            value = self._value()
        if not self._peek():
            raise self._fail("Unclosed start tag @", begin)
        return attribute, value

    def _value(self) -> str:
        quote = self._peek()
        begin = self.at
        if quote not in ("'", '"'):
            while self._peek() and self._peek() in _NAME:
                self.at += 1
            if not self._peek() or self._peek() not in _SPACE + ">":
                raise self._fail("Unexpected end of name token @", begin)
            return self.source[begin : self.at].lower()
        self.at += 1
        value = ""
        while self._peek() and self._peek() != quote:
            value += (self._reference() if self._peek() == "&" else "") or self._literal()
        self.at += 1
        return value

    def _end_tag(self, begin: int) -> None:
        if not self.open:
            raise self._fail("Unexpected end tag @", begin)
        self.at += 1
        name = self._word(_SPACE + ">").lower()
        self._skip_space()
        if self._peek() != ">":
            raise self._fail("Unclosed end tag @", begin)
        self.at += 1
        opened = self.open.pop()
        if name and name != opened.name:
            raise self._fail(f'Unmatched end tag @, expected "</{opened.name}>", found "</{name}>"', begin)
        self._close(opened)

    def _close(self, tag: _OpenTag) -> None:
        entity = self._entity(tag)
        if entity is None:
            return
        entity |= {"offset": tag.offset, "length": self.length - tag.offset}
        if not _merge_code_block(self.entities, entity, tag.argument):
            self.entities.append(entity)

    def _entity(self, tag: _OpenTag) -> Entity | None:
        if tag.name == "a":
            return _link("".join(self.out[tag.start :]), tag.argument)
        if tag.name == "tg-emoji":
            if not tag.argument.isdigit():
                raise _cannot_parse("Invalid custom emoji identifier specified")
            return {"type": "custom_emoji", "custom_emoji_id": tag.argument}
        if tag.name == "blockquote":
            return {"type": "expandable_blockquote" if tag.argument else "blockquote"}
        return {"type": _TYPES[tag.name]}


def _cannot_parse(text: str) -> ApiError:
    return bad_request(f"can't parse entities: {text}")


def _argument(tag: str, attribute: str, value: str) -> str:
    wanted = {
        ("a", "href"): value,
        ("tg-emoji", "emoji-id"): value,
        ("code", "class"): value.removeprefix("language-") if value.startswith("language-") else "",
        ("span", "class"): "spoiler" if value == "tg-spoiler" else "",
        ("blockquote", "expandable"): "1",
    }
    return wanted.get((tag, attribute), "")


def _link(text: str, href: str) -> Entity | None:
    target = href or text
    if target.startswith("tg://user?id=") and target[13:].isdigit():
        return {"type": "text_mention", "user_id": int(target[13:])}
    url = normalised_url(target)
    return None if url is None else {"type": "text_link", "url": url}


def _merge_code_block(entities: list[Entity], entity: Entity, argument: str) -> bool:
    """Join `pre` and a `code` with a language over the same span into one entity."""
    if entity["type"] == "code" and argument:
        entity["language"] = argument
    last = entities[-1] if entities else None
    same_span = last is not None and (last["offset"], last["length"]) == (entity["offset"], entity["length"])
    if last is None or not same_span or {last["type"], entity["type"]} != {"pre", "code"}:
        return False
    language = last.get("language") or entity.get("language")
    if not language:
        return False
    entities[-1] = {"type": "pre", "language": language, "offset": entity["offset"], "length": entity["length"]}
    return True


def parse_html(source: str) -> tuple[str, list[Entity]]:
    """Return the plain text and its entities, sorted by offset, the longer first; raise `ApiError` as Telegram does."""
    text, entities = _Parser(source).run()
    for entity in entities:
        if entity["type"] == "code":
            entity.pop("language", None)
    return text, sorted(_outside_code(entities), key=lambda entity: (entity["offset"], -entity["length"]))


def _outside_code(entities: list[Entity]) -> list[Entity]:
    """Drop what is nested inside `code` and `pre`: Telegram shows those verbatim."""
    verbatim = [entity for entity in entities if entity["type"] in ("code", "pre")]

    def inside(entity: Entity) -> bool:
        end = entity["offset"] + entity["length"]
        return any(
            block is not entity
            and block["offset"] <= entity["offset"]
            and end <= block["offset"] + block["length"]
            and (entity["type"] not in ("code", "pre") or entity["length"] < block["length"])
            for block in verbatim
        )

    return [entity for entity in entities if not inside(entity)]
