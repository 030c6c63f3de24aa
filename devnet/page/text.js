// Draw a message's text from its entities. Nothing here parses markup: text only ever becomes text nodes,
// so what a bot or a token symbol contains cannot become an element.

const TAGS = { bold: "strong", italic: "em", underline: "u", strikethrough: "s", code: "code", custom_emoji: "span" };

const BLOCKS = ["PRE", "BLOCKQUOTE"];

export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function link(url) {
  const made = element("a", "link");
  if (/^https?:\/\//i.test(url)) {
    made.href = url;
    made.target = "_blank";
    made.rel = "noopener noreferrer";
  }
  return made;
}

function pressable(made, label, act) {
  made.tabIndex = 0;
  made.setAttribute("role", "button");
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  made.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      act(event);
    }
  });
  return made;
}

function spoiler() {
  const made = element("span", "spoiler");
  return pressable(made, "Hidden text, press to show", () => {
    made.classList.add("shown");
    made.removeAttribute("role");
    made.removeAttribute("aria-label");
  });
}

function quote(expandable) {
  const made = element("blockquote", expandable ? "quote folded" : "quote");
  if (!expandable) return made;
  made.setAttribute("aria-expanded", "false");
  return pressable(made, "", () => {
    const folded = made.classList.toggle("folded");
    made.setAttribute("aria-expanded", String(!folded));
  });
}

function shell(entity, piece, actions) {
  switch (entity.type) {
    case "text_link":
      return link(entity.url);
    case "url":
      return link(piece);
    case "pre": {
      const made = element("pre");
      if (entity.language) made.dataset.language = entity.language;
      return made;
    }
    case "code":
      return pressable(element("code"), "", () => actions.copy(piece));
    case "spoiler":
      return spoiler();
    case "blockquote":
    case "expandable_blockquote":
      return quote(entity.type !== "blockquote");
    case "bot_command":
      return pressable(element("span", "command"), "", () => actions.send(piece));
    case "mention":
    case "text_mention":
      return element("span", "mention");
    default:
      return element(TAGS[entity.type] ?? "span");
  }
}

// Offsets count UTF-16 code units, as JavaScript strings do. Entities come sorted, the longer first.
function fill(parent, text, from, to, entities, actions) {
  let at = from;
  for (let index = 0; index < entities.length; index += 1) {
    const entity = entities[index];
    const start = Math.max(at, entity.offset);
    const end = Math.min(to, entity.offset + entity.length);
    if (start >= end) continue;
    if (start > at) parent.append(text.slice(at, start));
    const inner = entities.slice(index + 1).filter((other) => other.offset < end && other.offset + other.length > start);
    const made = shell(entity, text.slice(start, end), actions);
    fill(made, text, start, end, inner, actions);
    parent.append(made);
    at = BLOCKS.includes(made.tagName) && text[end] === "\n" ? end + 1 : end; // a block ends its line by itself
  }
  if (at < to) parent.append(text.slice(at, to));
}

export function drawText(parent, text, entities, actions) {
  fill(parent, text, 0, text.length, entities, actions);
}
