// Draw one message: its bubble, keyboard, media and marks.

import { drawText, element } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  silent: "M8 6a4 4 0 0 1 8 0v5l2 3H6l2-3zM10 17a2 2 0 0 0 4 0M3 3l18 18",
  link: "M8 16L16 8M9 8h7v7",
  copy: "M8 8h10v12H8zM6 16V4h10",
  reply: "M10 7L4 12l6 5v-3c5 0 8 1 10 5 0-6-4-9-10-9z",
  file: "M7 3h7l4 4v14H7zM14 3v4h4",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

export function tone(id) {
  return `tone-${Math.abs(id) % 6}`;
}

function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1048576).toFixed(1)} MB`;
}

function drawQuote(reply, actions) {
  const made = element("button", "reply-quote");
  made.type = "button";
  made.append(element("strong", "", reply.name), element("span", "", reply.text || "Media"));
  made.addEventListener("click", () => actions.jumpTo(reply.id));
  return made;
}

function drawPhoto(photo, caption, actions) {
  const made = element("button", "photo");
  made.type = "button";
  made.setAttribute("aria-label", "Enlarge the photo");
  const image = element("img");
  image.src = photo.url;
  image.width = photo.width;
  image.height = photo.height;
  image.alt = caption ? `Photo: ${caption.slice(0, 80)}` : "Photo";
  made.append(image);
  made.addEventListener("click", () => actions.enlarge(photo.url, image.alt));
  return made;
}

function drawDocument(file) {
  const made = element("a", "document");
  made.href = file.url;
  made.download = file.name;
  const badge = element("span", "document-icon");
  badge.append(icon("file"));
  const words = element("span", "document-words");
  words.append(element("strong", "", file.name), element("span", "", size(file.bytes)));
  made.append(badge, words);
  return made;
}

function drawMeta(message) {
  const made = element("span", "meta");
  if (message.silent) {
    const mark = icon("silent");
    mark.removeAttribute("aria-hidden");
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", "sent without sound");
    made.append(mark);
  }
  if (message.edits) made.append(element("span", "edited", "edited"));
  const time = element("time", "", clock(message.date));
  time.dateTime = new Date(message.date * 1000).toISOString();
  made.append(time);
  return made;
}

function drawButton(button, message, actions) {
  const isLink = Boolean(button.url);
  const made = element(isLink ? "a" : "button", `key ${button.style ?? "plain"}`);
  made.append(element("span", "key-text", button.text));
  if (isLink) {
    if (/^https?:\/\//i.test(button.url)) made.href = button.url;
    made.target = "_blank";
    made.rel = "noopener noreferrer";
    made.append(icon("link"));
    return made;
  }
  made.type = "button";
  if (button.copy_text) {
    made.append(icon("copy"));
    made.addEventListener("click", () => actions.copy(button.copy_text.text));
  } else {
    made.addEventListener("click", () => actions.press(message, button, made));
  }
  return made;
}

function drawKeyboard(message, actions) {
  const made = element("div", "keyboard");
  made.setAttribute("role", "group");
  made.setAttribute("aria-label", "Buttons of this message");
  for (const row of message.rows) {
    const line = element("div", "key-row");
    line.append(...row.map((button) => drawButton(button, message, actions)));
    made.append(line);
  }
  return made;
}

function drawBubble(message, context) {
  const made = element("div", "bubble");
  if (context.showName) made.append(element("span", `name ${tone(message.from.id)}`, message.from.name));
  if (message.topic) made.append(element("span", "topic", `# ${message.topic}`));
  if (message.reply) made.append(drawQuote(message.reply, context.actions));
  if (message.photo) made.append(drawPhoto(message.photo, message.text, context.actions));
  if (message.document) made.append(drawDocument(message.document));
  if (message.text) {
    const text = element("div", "text");
    text.dataset.testid = "text";
    drawText(text, message.text, message.entities, context.actions);
    made.append(text);
  }
  made.append(drawMeta(message));
  return made;
}

export function drawMessage(message, context) {
  const made = element("li", "message");
  made.dataset.id = message.id;
  made.dataset.testid = "message";
  made.dataset.from = message.from.bot ? "bot" : "person";
  if (message.service) {
    made.classList.add("service");
    made.append(element("span", "", message.service));
    return made;
  }
  made.classList.add(context.mine ? "mine" : "theirs");
  if (message.rows.length) made.classList.add("with-keyboard");
  if (message.photo) made.classList.add("with-photo");
  const stack = element("div", "stack");
  if (!context.showName) stack.append(element("span", "sr", `${context.mine ? "You" : message.from.name}:`));
  stack.append(drawBubble(message, context));
  if (message.rows.length) stack.append(drawKeyboard(message, context.actions));
  const reply = element("button", "reply-button");
  reply.type = "button";
  reply.setAttribute("aria-label", `Reply to ${message.from.name}`);
  reply.append(icon("reply"));
  reply.addEventListener("click", () => context.actions.replyTo(message));
  made.append(stack, reply);
  return made;
}
