// Hold what the page knows, and draw it: the list of chats, the open chat, and what arrives.

import { drawMessage, tone } from "./bubble.js";
import { listen, post } from "./connection.js";
import { replyTo, setCommands, startComposer } from "./composer.js";
import { alertDialog, banner, copy, enlarge, startNotices, toast } from "./notices.js";
import { element } from "./text.js";

const byId = (id) => document.getElementById(id);
const scroller = byId("scroller");
const log = byId("messages");
const ANSWER_PATIENCE = 15_000;

const state = { bot: null, users: [], chats: new Map(), me: null, open: null, online: "connecting" };
const seen = new Map(); // "person:chat" -> highest message id that this person has seen
const answered = new Map(); // query id -> answer that came before the press returned
const waiting = new Map(); // query id -> the button that shows its progress
const actions = { copy, enlarge, jumpTo, press, replyTo, send: (text) => say(text) };
let typingTimer = 0;

const mine = () => [...state.chats.values()].filter((chat) => chat.members.includes(state.me));
const titleOf = (chat) => (chat.kind === "private" ? state.bot.name : chat.title);
const seenKey = (chat) => `${state.me}:${chat.id}`;
const atBottom = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;

function unread(chat) {
  const from = seen.get(seenKey(chat)) ?? 0;
  return [...chat.messages.values()].filter((item) => item.id > from && item.from.id !== state.me).length;
}

function markSeen(chat) {
  const last = [...chat.messages.keys()].pop() ?? 0;
  seen.set(seenKey(chat), Math.max(seen.get(seenKey(chat)) ?? 0, last));
}

function badge(node, count) {
  node.hidden = count === 0;
  node.textContent = count > 99 ? "99+" : String(count);
}

function avatar(node, chat) {
  node.className = `avatar ${tone(chat.kind === "private" ? 0 : chat.id)}`;
  node.textContent = titleOf(chat).slice(0, 1).toUpperCase();
}

function drawCounts() {
  const others = mine().filter((chat) => chat.id !== state.open);
  badge(byId("back-badge"), others.reduce((sum, chat) => sum + unread(chat), 0));
  const open = state.chats.get(state.open);
  const missed = open ? unread(open) : 0;
  badge(byId("jump-badge"), missed);
  const all = mine().reduce((sum, chat) => sum + unread(chat), 0);
  document.title = all ? `(${all}) ${state.bot.name}` : (state.bot?.name ?? "Chat");
}

function drawList() {
  byId("chat-list").replaceChildren(
    ...mine()
      .sort((a, b) => lastDate(b) - lastDate(a))
      .map((chat) => {
        const last = [...chat.messages.values()].pop();
        const row = element("button", "chat-row");
        row.type = "button";
        row.dataset.testid = "chat-row";
        const face = element("span");
        avatar(face, chat);
        const words = element("span", "chat-words");
        words.append(element("strong", "", titleOf(chat)), element("span", "", last ? preview(last) : "No messages yet"));
        const count = element("span", "badge");
        badge(count, unread(chat));
        if (unread(chat)) row.setAttribute("aria-label", `${titleOf(chat)}, ${unread(chat)} unread`);
        row.append(face, words, count);
        row.addEventListener("click", () => openChat(chat.id));
        const item = element("li");
        item.append(row);
        return item;
      }),
  );
}

const lastDate = (chat) => [...chat.messages.values()].pop()?.date ?? 0;
const preview = (message) =>
  message.service || message.text.split("\n", 1)[0] || (message.photo ? "Photo" : (message.document?.name ?? ""));

function drawState() {
  const words = { online: state.open < 0 ? "group" : "bot", connecting: "connecting…", offline: "waiting for the server…" };
  const node = byId("chat-state");
  if (node.dataset.busy !== "typing" || state.online !== "online") node.textContent = words[state.online];
  node.dataset.state = state.online;
  byId("phone").dataset.connection = state.online;
}

function showTyping(action) {
  const node = byId("chat-state");
  node.dataset.busy = action ? "typing" : "";
  if (action) node.textContent = action === "typing" ? "typing…" : "sending a file…";
  clearTimeout(typingTimer);
  if (action) typingTimer = setTimeout(() => showTyping(""), 5000);
  else drawState();
}

function dayLine(seconds) {
  const name = (date) => date.toLocaleDateString([], { day: "numeric", month: "long" });
  const day = name(new Date(seconds * 1000)) === name(new Date()) ? "Today" : name(new Date(seconds * 1000));
  const line = element("li", "day");
  line.dataset.day = day;
  line.append(element("span", "", day));
  return line;
}

function drawOne(chat, message) {
  const isMine = message.from.id === state.me;
  return drawMessage(message, { mine: isMine, showName: chat.kind !== "private" && !isMine, actions });
}

function append(chat, message) {
  const days = log.querySelectorAll(".day");
  const line = dayLine(message.date);
  if (days[days.length - 1]?.dataset.day !== line.dataset.day) log.append(line);
  log.append(drawOne(chat, message));
}

function drawPinned(chat) {
  const message = chat.messages.get(chat.pinned[chat.pinned.length - 1]);
  byId("pinned").hidden = !message;
  if (message) {
    byId("pinned-text").textContent = preview(message);
    byId("pinned").onclick = () => jumpTo(message.id);
  }
}

function drawChat() {
  const chat = state.chats.get(state.open);
  byId("chat-screen").hidden = !chat;
  byId("list-screen").hidden = Boolean(chat);
  if (!chat) {
    drawList();
    drawCounts();
    return;
  }
  byId("back").hidden = mine().length < 2;
  byId("chat-title").textContent = titleOf(chat);
  avatar(byId("chat-avatar"), chat);
  setCommands(chat.commands[state.me] ?? []);
  log.replaceChildren();
  for (const message of chat.messages.values()) append(chat, message);
  drawPinned(chat);
  drawState();
  toBottom();
}

function toBottom() {
  scroller.scrollTop = scroller.scrollHeight;
  onScroll();
}

function onScroll() {
  const chat = state.chats.get(state.open);
  if (chat && atBottom() && !document.hidden) markSeen(chat);
  byId("jump").hidden = atBottom();
  if (state.bot) drawCounts();
}

function jumpTo(id) {
  const row = log.querySelector(`[data-id="${Number(id)}"]`);
  if (!row) return toast("That message is not here any more");
  row.scrollIntoView({ block: "center", behavior: "smooth" });
  row.classList.remove("flash");
  requestAnimationFrame(() => row.classList.add("flash"));
}

function openChat(id) {
  state.open = id;
  replyTo(null);
  showTyping("");
  drawChat();
  if (id !== null) byId("input").focus({ preventScroll: true });
}

function become(id) {
  state.me = id;
  sessionStorage.setItem("person", String(id));
  openChat(mine().length === 1 ? mine()[0].id : null);
}

async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    toast(error instanceof TypeError ? "The server cannot be reached" : error.message);
    return null;
  }
}

function say(text, reply) {
  return attempt(() => post("say", { chat_id: state.open, user_id: state.me, text, reply_to: reply }));
}

async function press(message, button, node) {
  node.classList.add("busy");
  node.setAttribute("aria-busy", "true");
  const body = { chat_id: state.open, user_id: state.me, message_id: message.id, button: button.callback_data };
  const result = await attempt(() => post("press", body));
  if (!result || answered.has(result.query_id)) return settle(node);
  waiting.set(result.query_id, node);
  setTimeout(() => settle(node), ANSWER_PATIENCE);
}

function settle(node) {
  node.classList.remove("busy");
  node.removeAttribute("aria-busy");
}

function onAnswer(event) {
  answered.set(event.query_id, true);
  if (waiting.has(event.query_id)) settle(waiting.get(event.query_id));
  waiting.delete(event.query_id);
  if (event.user_id !== state.me || !event.text) return;
  if (event.show_alert) alertDialog(state.bot.name, event.text);
  else toast(event.text);
}

function onMessage(chat, message) {
  chat.messages.set(message.id, message);
  if (chat.id !== state.open) {
    drawList();
    drawCounts();
    if (state.open !== null && chat.members.includes(state.me) && message.from.id !== state.me && !message.silent) {
      banner(titleOf(chat), preview(message), () => openChat(chat.id));
    }
    return;
  }
  const follow = atBottom() || message.from.id === state.me;
  if (message.from.bot) showTyping("");
  append(chat, message);
  if (follow) toBottom();
  else onScroll();
}

function onEdit(chat, message) {
  chat.messages.set(message.id, message);
  if (chat.id !== state.open) return drawList();
  const follow = atBottom();
  const old = log.querySelector(`[data-id="${message.id}"]`);
  if (old) {
    const fresh = drawOne(chat, message);
    const focused = [...old.querySelectorAll(".key")].indexOf(document.activeElement);
    old.replaceWith(fresh);
    if (focused >= 0) fresh.querySelectorAll(".key")[focused]?.focus({ preventScroll: true });
  }
  drawPinned(chat);
  if (follow) toBottom();
}

function onDelete(chat, id) {
  chat.messages.delete(id);
  if (chat.id === state.open) log.querySelector(`[data-id="${id}"]`)?.remove();
  else drawList();
  drawCounts();
}

function onSnapshot(event) {
  const first = state.bot === null;
  Object.assign(state, { bot: event.bot, users: event.users });
  state.chats = new Map(event.chats.map((chat) => [chat.id, { ...chat, messages: new Map(chat.messages.map((m) => [m.id, m])) }]));
  const person = byId("person");
  person.replaceChildren(...state.users.map((user) => new Option(user.name, String(user.id))));
  const wanted = Number(new URLSearchParams(location.search).get("user") ?? sessionStorage.getItem("person"));
  if (first || !state.users.some((user) => user.id === state.me)) {
    for (const user of state.users) {
      state.me = user.id;
      mine().forEach(markSeen);
    }
    become(state.users.some((user) => user.id === wanted) ? wanted : (state.users[0]?.id ?? null));
  } else if (!state.chats.has(state.open)) {
    openChat(mine().length === 1 ? mine()[0].id : null);
  } else {
    redraw();
  }
  person.value = String(state.me);
  byId("person-label").hidden = state.users.length < 2;
}

// Keep the place in the conversation when a whole new picture arrives.
function redraw() {
  const follow = atBottom();
  const place = scroller.scrollTop;
  drawChat();
  if (!follow) scroller.scrollTop = place;
}

function onEvent(event) {
  if (event.type === "snapshot") return onSnapshot(event);
  if (event.type === "answer") return onAnswer(event);
  const chat = state.chats.get(event.chat_id);
  if (!chat) return;
  if (event.type === "message") onMessage(chat, event.message);
  else if (event.type === "edit") onEdit(chat, event.message);
  else if (event.type === "delete") onDelete(chat, event.message_id);
  else if (event.type === "action" && chat.id === state.open) showTyping(event.action);
}

startNotices();
startComposer(say);
scroller.addEventListener("scroll", onScroll, { passive: true });
document.addEventListener("visibilitychange", onScroll);
byId("jump").addEventListener("click", toBottom);
byId("back").addEventListener("click", () => openChat(null));
byId("person").addEventListener("change", (event) => become(Number(event.target.value)));
listen(onEvent, (online) => {
  state.online = online;
  drawState();
});
