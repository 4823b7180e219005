// The live page: what the stream says becomes what is seen.

import { $, clock, duration, put, rate, span } from "./dom.js";
import { showHub, showLog, showProcesses, showSlow, showTasks, showTiles, showTree } from "./panels.js";
import { Plot } from "./plot.js";
import { Stream } from "./stream.js";

const KEPT = 600, LINES = 300, FAILURES = 30;
const state = { about: {}, rows: new Map(), lines: new Map(), failures: new Map(), mayAct: false, link: "connecting" };

const short = (value, axis) => (value === null ? "–" : axis && value === 0 ? "0" : duration(value));
const count = (value, axis) => (value === null ? "–" : axis ? rate(value).replace(/\.0$/, "") : Math.round(value).toString());
const plots = [
  new Plot($("#plot-requests"), {
    title: "Requests per second",
    format: count,
    least: 5,
    lines: [
      { key: "requests", label: "all", style: "first", area: true },
      { key: "refused", label: "4xx", style: "second" },
      { key: "errors", label: "5xx", style: "alarm" },
    ],
  }),
  new Plot($("#plot-latency"), {
    title: "Latency",
    format: short,
    least: 0.001,
    lines: [
      { key: "p99", label: "p99", style: "third" },
      { key: "p95", label: "p95", style: "second" },
      { key: "p50", label: "p50", style: "first" },
    ],
  }),
  new Plot($("#plot-crew"), {
    title: "Crew",
    format: count,
    least: 5,
    lines: [
      { key: "threads", label: "threads", style: "edge" },
      { key: "busy", label: "busy", style: "first", area: true },
      { key: "backlog", label: "backlog", style: "alarm" },
    ],
  }),
];

// What comes.

const stream = new Stream({
  state: showLink,
  event(name, data) {
    if (name === "hello") state.mayAct = data.may_act;
    if (name === "whole") for (const each of ["rows", "lines", "failures"]) state[each].clear();
    if (name !== "hello") take(data);
    showActions();
  },
});

function take(data) {
  Object.assign(state, { now: data.now, news: data, heard: Date.now() });
  if (data.about) state.about = data.about;
  for (const row of data.rows) state.rows.set(row.t, row);
  for (const line of data.lines) state.lines.set(line.number, line);
  for (const failure of data.failures) state.failures.set(failure.number, failure);
  bound(state.rows, KEPT);
  bound(state.lines, LINES);
  bound(state.failures, FAILURES);
  show();
}

function bound(map, most) {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}

function show() {
  const { news, about } = state;
  const rows = [...state.rows.values()].sort((a, b) => a.t - b.t);
  put($("#app"), about.app ?? "");
  put($("#about"), `up ${span(news.now - about.began)} · pid ${about.pid} · ${about.version}`);
  document.title = `${about.app ?? "hendrix"} · hendrix`;
  showTiles(news, rows);
  for (const plot of plots) plot.show(rows, Number($("#range input:checked").value));
  showProcesses(news, recycle);
  showTree(news);
  showHub(news);
  showSlow(news);
  showTasks(news, [...state.failures.values()].reverse());
  showLog([...state.lines.values()], Number($("#level").value));
}

// Whether what is shown is true.

function showLink(name, detail) {
  if (name === "connecting" && state.link === "disconnected") return; // it is still: say so until there is something
  const changed = state.link !== name;
  state.link = name;
  const pill = $("#link");
  if (!changed && name !== "disconnected") return;
  pill.dataset.state = name;
  put(pill, { connecting: "connecting", live: "live", disconnected: "disconnected", locked: "locked" }[name]);
  document.body.classList.toggle("stale", name === "disconnected");
  const banner = $("#banner");
  banner.hidden = name !== "disconnected" && name !== "locked";
  if (name === "disconnected") {
    const since = state.heard ? ` What you see is from ${clock(state.heard / 1000)}.` : "";
    put(banner, `Disconnected: ${detail}. It is tried again.${since}`);
  }
  if (name === "locked") {
    const needed = detail.includes("Authorization");
    put(banner, needed ? "Locked: the token is needed to see this." : `Locked: ${detail}`);
    if (stream.token) $("#token-wrong").hidden = false;
    if (needed) askToken();
  }
  showActions();
}

// Buttons.

function showActions() {
  const { about, mayAct } = state;
  const may = mayAct && state.link === "live";
  $("#actions").hidden = !may;
  document.body.classList.toggle("may-act", may);
  for (const name of ["more", "fewer"]) $(`[data-do=${name}]`).hidden = !about.workers;
  $("#read-only").hidden = mayAct;
  put($("#read-only"), about.token ? "read-only until it is unlocked" : "read-only: no --status-token");
  $("#unlock").hidden = !(about.token || state.link === "locked");
  put($("#unlock"), stream.token && state.link !== "locked" ? "Lock" : "Unlock");
  if (stream.token && state.link === "live" && !mayAct) {
    stream.token = "";
    sessionStorage.removeItem("token");
    $("#token-wrong").hidden = false;
    askToken();
  }
}

let quiet;
function say(text, bad = false) {
  const said = $("#said");
  said.hidden = false;
  said.classList.toggle("bad", bad);
  put(said, text);
  clearTimeout(quiet);
  quiet = setTimeout(() => (said.hidden = true), bad ? 15000 : 6000);
}

async function act(button, label, name, given) {
  button.setAttribute("aria-busy", "true");
  button.disabled = true;
  say(`${label}…`);
  try {
    say(`${label}: ${await stream.command(name, given)}`);
  } catch (error) {
    say(`${label}: ${error.message}`, true);
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
}

function recycle(button, worker) {
  act(button, `Recycle ${worker}`, "recycle", { worker });
}

$("#actions").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const what = button.dataset.do;
  if (what === "reload") act(button, "Reload", "reload");
  else if (what === "more") act(button, "One more", "workers", { to: "+1" });
  else if (what === "fewer") act(button, "One fewer", "workers", { to: "-1" });
  else $("#ask-stop").showModal();
});

$("#ask-stop").addEventListener("close", (event) => {
  if (event.target.returnValue === "stop") act($("[data-do=stop]"), "Drain and stop", "stop");
  event.target.returnValue = "";
});

function askToken() {
  const dialog = $("#ask-token");
  if (!dialog.open) dialog.showModal();
  $("#token").focus();
}

$("#unlock").addEventListener("click", () => {
  if (stream.token && state.link !== "locked") return stream.unlock("");
  $("#token-wrong").hidden = true;
  askToken();
});
$("#token-cancel").addEventListener("click", () => $("#ask-token").close());
$("#ask-token").addEventListener("close", () => ($("#token").value = ""));
$("#ask-token form").addEventListener("submit", () => {
  $("#token-wrong").hidden = true;
  if ($("#token").value) stream.unlock($("#token").value);
});

$("#range").addEventListener("change", () => state.news && show());
$("#level").addEventListener("change", () => state.news && show());

// Colours: as the system has them, or as this browser was told.

const THEMES = ["", "dark", "light"];
function paint() {
  const theme = localStorage.getItem("theme") || "";
  document.documentElement.dataset.theme = theme;
  const name = { "": "Auto", dark: "Dark", light: "Light" }[theme];
  put($("#theme"), name);
  $("#theme").setAttribute("aria-label", theme ? `${name} colours` : "Auto: colours as the system has them");
}
$("#theme").addEventListener("click", () => {
  localStorage.setItem("theme", THEMES[(THEMES.indexOf(localStorage.getItem("theme") || "") + 1) % THEMES.length]);
  paint();
});

paint();
stream.run();
