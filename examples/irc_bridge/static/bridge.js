// The page of the bridge: lines as they come, each once, and what somebody types. Text is only ever made text.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const log = document.getElementById("log");
const box = log.parentElement;
const state = document.getElementById("state");
const nick = document.getElementById("nick");
const text = document.getElementById("text");
const seen = new Set();

function show(topic, id, {nick, text, kind}, time) {
  if (seen.has(id)) return;
  seen.add(id);
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
  const item = document.getElementById("line").content.firstElementChild.cloneNode(true);
  item.classList.add(topic === data.web ? "web" : "irc", kind);
  item.querySelector("time").textContent = new Date(time * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});
  item.querySelector("b").textContent = nick;
  item.querySelector(".text").textContent = text;
  log.append(item);
  if (atEnd) box.scrollTop = box.scrollHeight;
}

for (const line of data.lines) show(line.topic, line.id, line, line.time);
box.scrollTop = box.scrollHeight;

const joe = new HeyJoe("/live", {since: data.since});
for (const topic of [data.irc, data.web]) joe.on(topic, (payload, message) => show(topic, message.id, payload, message.time));
joe.onstate = (now) => {
  state.textContent = now === "open" ? "connected" : now === "closed" ? "closed" : "connecting";
  state.classList.toggle("open", now === "open");
};

nick.value = localStorage.getItem("nick") || "";
document.getElementById("say").addEventListener("submit", (event) => {
  event.preventDefault();
  localStorage.setItem("nick", nick.value);
  if (joe.send({nick: nick.value, text: text.value})) text.value = "";
});
