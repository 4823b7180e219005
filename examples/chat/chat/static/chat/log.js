// The messages on the page: each once, by its number in the database, with days and unread ones marked off. Text is only ever made text.
"use strict";

class Log {
  constructor(chat) {
    this.list = document.getElementById("log");
    this.box = document.getElementById("scroll");
    this.draft = document.getElementById("message").content.firstElementChild;
    this.me = chat.dataset.me;
    this.shown = new Map();
    for (const item of this.list.querySelectorAll(".message")) {
      this._dress(item);
      this.shown.set(Number(item.dataset.id), item);
    }
    this.markUnread(Number(chat.dataset.seen));
    this.arrange();
  }

  get last() {
    return Math.max(0, ...this.shown.keys());
  }

  get first() {
    return Math.min(...this.shown.keys());
  }

  get atEnd() {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 80;
  }

  toEnd() {
    this.box.scrollTop = this.box.scrollHeight;
  }

  // Whether it is new here. One that was pending takes the place that its number gives it.
  add(message) {
    if (this.shown.has(message.id)) return false;
    const item = (message.who === this.me && this._pending(message.key)) || this._make(message);
    item.classList.remove("pending");
    item.dataset.id = message.id;
    item.querySelector("time").dateTime = message.at;
    this._dress(item);
    const next = [...this.shown.keys()].filter((id) => id > message.id);
    const after = next.length ? this.shown.get(Math.min(...next)) : this.list.querySelector(".pending:not([data-id])");
    if (after !== item) this.list.insertBefore(item, after);
    this.shown.set(message.id, item);
    return true;
  }

  // One that is on its way: at the end, until it is known where it belongs.
  addPending(message) {
    if (this._pending(message.key)) return;
    const item = this._make({...message, who: this.me});
    item.classList.add("pending");
    delete item.dataset.id;
    item.querySelector("time").textContent = "sending";
    this.list.append(item);
  }

  drop(key) {
    this._pending(key)?.remove();
  }

  notice(text) {
    const pending = this.list.querySelector(".pending"), before = pending ? pending.previousElementSibling : this.list.lastElementChild;
    if (before?.className === "notice") before.firstElementChild.textContent += ` · ${text}`;
    else this.list.insertBefore(this._line("notice", text), pending);
  }

  markUnread(seen) {
    this.list.querySelector(".unread")?.remove();
    const ids = [...this.shown].filter(([id, item]) => id > seen && item.dataset.who !== this.me).map(([id]) => id);
    if (ids.length) this.list.insertBefore(this._line("unread", "New"), this.shown.get(Math.min(...ids)));
    return ids.length;
  }

  // Days, and who goes on speaking. The unread mark and notices stay where they are.
  arrange() {
    for (const day of this.list.querySelectorAll(".day")) day.remove();
    let before = null;
    for (const item of [...this.list.children]) {
      if (!item.classList.contains("message")) {
        before = before && {...before, who: null};
        continue;
      }
      const at = new Date(item.querySelector("time").dateTime || Date.now());
      const day = at.toDateString();
      if (before?.day !== day) {
        const mark = item.previousElementSibling;
        this.list.insertBefore(this._line("day", dayOf(at)), mark?.classList.contains("unread") ? mark : item);
      }
      item.classList.toggle("same", before?.day === day && before.who === item.dataset.who && at - before.at < 300000);
      before = {at, day, who: item.dataset.who};
    }
  }

  _pending(key) {
    return [...this.list.querySelectorAll(".pending")].find((item) => item.dataset.key === key);
  }

  _make({key, who, text, at}) {
    const item = this.draft.cloneNode(true);
    item.classList.toggle("mine", who === this.me);
    item.dataset.key = key;
    item.dataset.who = who;
    item.style.setProperty("--hue", hueOf(who));
    item.querySelector(".face").replaceWith(faceOf(who));
    item.querySelector("b").textContent = who;
    item.querySelector("time").dateTime = at;
    item.querySelector(".text").textContent = text;
    return item;
  }

  _line(kind, text) {
    const item = document.createElement("li");
    const inner = document.createElement("span");
    item.className = kind;
    inner.textContent = text;
    item.append(inner);
    return item;
  }

  // The time is that of the reader, and what looks like a link becomes one.
  _dress(item) {
    const time = item.querySelector("time");
    const at = new Date(time.dateTime);
    time.textContent = at.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});
    time.title = at.toLocaleString();
    const text = item.querySelector(".text");
    text.replaceChildren(...text.textContent.split(/(https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)])/).map((part, index) => (index % 2 ? linkTo(part) : part)));
  }
}

function linkTo(address) {
  const link = document.createElement("a");
  link.href = link.textContent = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  return link;
}

function dayOf(at) {
  const days = Math.round((new Date().setHours(12, 0, 0, 0) - new Date(at).setHours(12, 0, 0, 0)) / 86400000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return at.toLocaleDateString([], {weekday: "long", day: "numeric", month: "long", year: days > 300 ? "numeric" : undefined});
}
