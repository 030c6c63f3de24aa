// Things that come and go: toasts, alerts, the banner of another chat, the enlarged photo.

const byId = (id) => document.getElementById(id);
let toastTimer = 0;
let bannerTimer = 0;

export function toast(text) {
  const box = byId("toast");
  box.textContent = text;
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    box.hidden = true;
  }, 3200);
}

export function alertDialog(title, text) {
  byId("alert-title").textContent = title;
  byId("alert-text").textContent = text;
  const dialog = byId("alert");
  if (!dialog.open) dialog.showModal();
}

export function banner(title, text, onOpen) {
  const box = byId("banner");
  byId("banner-title").textContent = title;
  byId("banner-text").textContent = text;
  box.hidden = false;
  box.onclick = () => {
    box.hidden = true;
    onOpen();
  };
  clearTimeout(bannerTimer);
  bannerTimer = setTimeout(() => {
    box.hidden = true;
  }, 5000);
}

export function enlarge(url, alt) {
  byId("viewer-image").src = url;
  byId("viewer-image").alt = alt;
  byId("viewer").showModal();
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied to the clipboard");
  } catch (error) {
    console.warn("the clipboard is closed to this page", error);
    alertDialog("Copy this text", text);
  }
}

export function startNotices() {
  byId("viewer-close").addEventListener("click", () => byId("viewer").close());
  const tick = () => {
    byId("clock").textContent = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  };
  tick();
  setInterval(tick, 5000);
}
