// The row to type in: grows with the text, completes commands, remembers what is replied to.

import { element } from "./text.js";

const byId = (id) => document.getElementById(id);
const input = byId("input");
const list = byId("suggestions");
const menu = byId("menu");
let options = [];
let active = -1;
let commands = [];
let replying = null;
let onSend = () => {};

export function setCommands(known) {
  commands = known;
  menu.hidden = known.length === 0;
  if (!list.hidden) suggest();
}

export function replyTo(message) {
  replying = message;
  byId("replying").hidden = message === null;
  if (message) {
    byId("replying-name").textContent = message.from.name;
    byId("replying-text").textContent = message.text || "Media";
    input.focus();
  }
}

function grow() {
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight, 132)}px`;
  byId("send").disabled = input.value.trim() === "";
}

function close() {
  list.hidden = true;
  active = -1;
  for (const control of [input, menu]) control.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
}

function mark(index) {
  active = index;
  [...list.children].forEach((row, at) => row.setAttribute("aria-selected", String(at === index)));
  if (index < 0) return;
  input.setAttribute("aria-activedescendant", list.children[index].id);
  list.children[index].scrollIntoView({ block: "nearest" });
}

function suggest(all = false) {
  const typed = input.value;
  const wanted = all ? "" : typed.slice(1).toLowerCase();
  const asks = all || (typed.startsWith("/") && !/\s/.test(typed));
  options = asks ? commands.filter((item) => item.command.startsWith(wanted)) : [];
  if (options.length === 0) return close();
  list.replaceChildren(
    ...options.map((item, index) => {
      const row = element("li", "suggestion");
      row.id = `suggestion-${index}`;
      row.setAttribute("role", "option");
      row.append(element("strong", "", `/${item.command}`), element("span", "", item.description));
      row.addEventListener("mousedown", (event) => event.preventDefault());
      row.addEventListener("click", () => choose(index, true));
      return row;
    }),
  );
  list.hidden = false;
  for (const control of [input, menu]) control.setAttribute("aria-expanded", "true");
  mark(all ? -1 : 0);
}

function choose(index, send) {
  const command = `/${options[index].command}`;
  close();
  input.value = send ? command : `${command} `;
  grow();
  input.focus();
  if (send) submit();
}

async function submit() {
  const text = input.value.trim();
  if (!text) return;
  const answered = replying?.id;
  input.value = "";
  replyTo(null);
  close();
  grow();
  if (!(await onSend(text, answered)) && input.value === "") {
    input.value = text;
    grow();
  }
}

function onKey(event) {
  const open = !list.hidden;
  if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    mark((active + step + options.length) % options.length);
  } else if (open && event.key === "Tab" && active >= 0) {
    event.preventDefault();
    choose(active, false);
  } else if (event.key === "Escape") {
    close();
    replyTo(null);
  } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    const exact = active >= 0 && input.value === `/${options[active].command}`;
    if (open && active >= 0 && !exact) choose(active, true);
    else submit();
  }
}

export function startComposer(send) {
  onSend = send;
  input.addEventListener("input", () => {
    grow();
    suggest();
  });
  input.addEventListener("keydown", onKey);
  input.addEventListener("blur", () => setTimeout(close, 120));
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  menu.addEventListener("click", () => {
    if (list.hidden) {
      input.focus();
      suggest(true);
    } else close();
  });
  byId("replying-cancel").addEventListener("click", () => replyTo(null));
}
