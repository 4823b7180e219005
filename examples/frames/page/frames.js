// The page around the river: the numbers, the latest frames, and what is inside of one.
"use strict";

const find = (id) => document.getElementById(id);
const river = new River(find("canvas"));
const ROWS = 40, WINDOW = 3;
const WAYS = {host: "for us", broadcast: "to all", multicast: "to a group", otherhost: "for others", outgoing: "sent from here"};
let count = 0, lost = 0, chosen = null, pinned = false, recent = [], fresh = [];

function element(tag, text, kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = kind;
  return made;
}

function bytesOf(frame) {
  return Uint8Array.from(atob(frame.base64), (letter) => letter.charCodeAt(0));
}

// The row of a frame, which is also a button.
function rowOf(frame) {
  const row = document.createElement("tr");
  const button = element("button", nameOf(frame.ethertype));
  button.type = "button";
  button.addEventListener("click", () => choose(frame, true));
  const type = document.createElement("td");
  type.append(button);
  type.style.setProperty("--hue", hueOf(frame.ethertype));
  const everybody = frame.destination === "ff:ff:ff:ff:ff:ff" ? "everybody" : frame.destination;
  row.append(type, element("td", frame.source), element("td", everybody), element("td", frame.length, "number"));
  frame.row = row;
  return row;
}

function choose(frame, pin) {
  chosen?.row?.classList.remove("chosen");
  chosen = river.chosen = frame;
  pinned = pin;
  frame.row?.classList.add("chosen");
  const bytes = bytesOf(frame), lines = [];
  for (let start = 0; start < bytes.length; start += 16) lines.push(lineOf(bytes, start));
  find("dump").replaceChildren(...lines);
  find("which").textContent = `${nameOf(frame.ethertype)}, ${frame.length} bytes ${WAYS[frame.kind] || ""} on ${frame.interface}`;
}

// Sixteen bytes as numbers and as letters; the header in colours.
function lineOf(bytes, start) {
  const line = document.createElement("div"), some = [...bytes.slice(start, start + 16)];
  line.append(element("span", start.toString(16).padStart(4, "0"), "offset"));
  for (let index = 0; index < 16; index += 1) {
    const place = start + index, byte = index < some.length ? some[index].toString(16).padStart(2, "0") : "  ";
    const part = place < 6 ? "destination" : place < 12 ? "source" : place < 14 ? "type" : "";
    line.append(element("span", byte, part + (index === 8 ? " gap" : "")));
  }
  const text = some.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
  line.append(element("span", text, "letters"));
  return line;
}

// What has come since the last look: at most ten times a second, however many frames there are.
function show() {
  const now = performance.now() / 1000;
  recent = recent.filter(([at]) => now - at < WINDOW);
  find("count").textContent = count.toLocaleString("en");
  find("rate").textContent = Math.round(recent.length / WINDOW).toLocaleString("en");
  find("bytes").textContent = Math.round(recent.reduce((sum, [, length]) => sum + length, 0) / WINDOW).toLocaleString("en");
  if (fresh.length && river.stopped === null) {
    const newest = fresh.slice(-ROWS).reverse();
    fresh = [];
    find("rows").prepend(...newest.map(rowOf));
    while (find("rows").rows.length > ROWS) find("rows").lastElementChild.remove();
    if (!pinned) choose(newest[0], false);
  }
}

const joe = new HeyJoe("/live", {transports: ["eventstream"]}).on("ethernet.**", (frame) => {
  count += 1;
  find("empty").hidden = true;
  recent.push([performance.now() / 1000, frame.length]);
  if (recent.length > 60000) recent.shift();
  if (river.stopped !== null) return;
  river.add(frame);
  fresh.push(frame);
  if (fresh.length > ROWS) fresh.shift();
});
joe.ongap = (gap) => {
  lost += gap.lost || 1;
  find("lost").textContent = lost.toLocaleString("en");
  find("lost-box").hidden = false;
};
joe.onstate = (state) => {
  find("state").dataset.state = state;
  find("state").textContent = {open: "live", waiting: "connecting again"}[state] || state;
};
joe.onstate(joe.state);
setInterval(show, 100);

find("canvas").addEventListener("click", (event) => {
  const frame = river.near(event.offsetX, event.offsetY);
  if (frame) choose(frame, true);
  else pinned = false;
});
find("pause").addEventListener("click", () => {
  river.stopped = river.stopped === null ? performance.now() / 1000 : null;
  find("pause").setAttribute("aria-pressed", String(river.stopped !== null));
  find("pause").textContent = river.stopped === null ? "Pause" : "Go on";
  if (river.stopped === null) pinned = false;
});
find("send").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const answer = await fetch(form.action, {method: "POST", body: new URLSearchParams(new FormData(form))});
  if (answer.ok) form.reset();
});
