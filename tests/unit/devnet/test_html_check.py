"""The HTML rules of messages: what becomes an entity, and the words for what does not."""

from __future__ import annotations

import pytest

from devnet.botapi.errors import ApiError
from devnet.botapi.html_check import parse_html


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        ("<b>a</b><strong>b</strong>", "ab", [("bold", 0, 1), ("bold", 1, 1)]),
        ("<u>a</u><ins>b</ins>", "ab", [("underline", 0, 1), ("underline", 1, 1)]),
        ("<s>a</s><strike>b</strike><del>c</del>", "abc", [("strikethrough", n, 1) for n in range(3)]),
        ("😀<i>é😀</i>", "😀é😀", [("italic", 2, 3)]),
        ("<i>a<b>b</b></i>", "ab", [("italic", 0, 2), ("bold", 1, 1)]),
        ("&lt;&gt;&amp;&quot;&#65;&#x42;&nbsp;&copy;", '<>&"AB&nbsp;&copy;', []),
        ("&lt1 > 0", "<1 > 0", []),
        ("<tg-spoiler>a</tg-spoiler><span class='tg-spoiler'>b</span>", "ab", [("spoiler", 0, 1), ("spoiler", 1, 1)]),
        ("<blockquote expandable>a</blockquote>", "a", [("expandable_blockquote", 0, 1)]),
        ("<blockquote cite=x>a</blockquote>", "a", [("blockquote", 0, 1)]),
        ("<pre>a<b>b</b></pre>", "ab", [("pre", 0, 2)]),
        ('<pre><code class="language-json">{}</code></pre>', "{}", [("pre", 0, 2)]),
        ("<a href='https://x.io/a'>a</a><a>b</a>", "ab", [("text_link", 0, 1)]),
        ("<tg-emoji emoji-id='5'>a</tg-emoji>", "a", [("custom_emoji", 0, 1)]),
        ("<B>a</b><i></i><u>c</ >", "ac", [("bold", 0, 1), ("underline", 1, 1)]),
    ],
)
def test_html_becomes_entities(source: str, text: str, entities: list[tuple[str, int, int]]) -> None:
    plain, found = parse_html(source)
    assert plain == text
    assert [(item["type"], item["offset"], item["length"]) for item in found] == entities


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("ab<b", "Unclosed start tag at byte offset 2"),
        ("ab<b a", "Unclosed start tag at byte offset 2"),
        ("<i =a>", 'Empty attribute name in the tag "i" at byte offset 0'),
        ("<i a=", 'Unclosed start tag "i" at byte offset 0'),
        ("<i a=b,>", "Unexpected end of name token at byte offset 5"),
        ("<i a='b>", "Unclosed start tag at byte offset 0"),
        ("a</b>", "Unexpected end tag at byte offset 1"),
        ("<b>a</b", "Unclosed end tag at byte offset 4"),
        ("<b>a</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("<span>a</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
        ("<script>alert(1)</script>", 'Unsupported start tag "script" at byte offset 0'),
        ("&#xD800;", "Text contains invalid Unicode characters after decoding HTML entities"),
    ],
)
def test_html_errors_name_the_byte(source: str, words: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_html(source)
    assert caught.value.description.startswith(f"Bad Request: can't parse entities: {words}")
