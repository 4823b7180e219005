// What is on the page besides the plots: each part from what the stream said last.

import { $, bytes, clock, duration, list, make, put, rate, span, whole } from "./dom.js";

const STATES = { good: "is well", busy: "has much to do", bad: "is in trouble" };
const LEVELS = { debug: 0, info: 1, warn: 2, error: 3, critical: 3 };

// Tiles.

export function showTiles(news, rows) {
  const last = rows.at(-1) ?? {};
  const ten = rows.slice(-10);
  const perSecond = ten.length ? ten.reduce((sum, row) => sum + row.requests, 0) / ten.length : 0;
  const { minute } = news;
  const memory = news.processes.reduce((sum, each) => sum + each.rss, 0);
  const tiles = [
    { key: "rate", label: "Requests / s", value: rate(perSecond), more: `${whole(news.requests)} in all` },
    { key: "p50", label: "p50, last minute", value: duration(minute.p50), more: "half are faster" },
    { key: "p95", label: "p95", value: duration(minute.p95), more: "1 of 20 is slower" },
    { key: "p99", label: "p99", value: duration(minute.p99), more: "1 of 100 is slower" },
    {
      key: "errors", label: "Errors, last minute", value: whole(minute.errors), state: minute.errors ? "bad" : "",
      more: minute.requests ? `${((100 * minute.errors) / minute.requests).toFixed(1)} % of answers` : "no answers",
    },
    { key: "crew", label: "Threads busy", value: `${last.busy ?? 0}`, of: `/ ${last.threads ?? 0}`, more: `${whole(last.backlog ?? 0)} requests wait`, state: last.backlog ? "busy" : "" },
    { key: "tasks", label: "Crosstown tasks", value: whole(last.running ?? 0), of: "running", more: `${whole(last.queued ?? 0)} wait` },
    { key: "memory", label: "Memory", value: bytes(memory), more: `${news.processes.length} process${news.processes.length === 1 ? "" : "es"}` },
  ];
  list($("#tiles"), tiles, (tile) => tile.key, buildTile, (element, tile) => {
    const [label, value] = element.children;
    put(label, tile.label);
    put(value.children[0], tile.value);
    put(value.children[1], tile.of ?? "");
    put(value.children[2], tile.more);
    element.dataset.state = tile.state ?? "";
  });
}

function buildTile() {
  return make("div", { class: "tile" }, make("dt"), make("dd", {}, make("b"), make("span", { class: "of" }), make("small")));
}

// Processes.

export function showProcesses(news, recycle) {
  list($("#processes tbody"), news.processes, (each) => each.pid, (each) => {
    const button = make("button", { type: "button", class: "small", "aria-label": `Recycle ${each.name}` }, "Recycle");
    button.addEventListener("click", () => recycle(button, each.name));
    const act = make("td", { class: "act" });
    if (each.state) act.append(button);
    return make("tr", {}, make("th", { scope: "row" }, each.name), make("td", { class: "number" }, String(each.pid)), make("td"), make("td", { class: "number" }), act);
  }, (row, each) => {
    const alone = news.processes.length === 1;
    const state = each.state || (alone ? "serving" : "parent");
    put(row.children[2], state);
    row.dataset.state = each.state;
    put(row.children[3], bytes(each.rss));
    const button = row.querySelector("button");
    if (button) button.hidden = each.state !== "serving";
  });
}

// The tree.

const folded = new Map();
let shown; // what the tree was made of
$("#tree").addEventListener("folded", () => showTree(shown));

function* nodes(branch, health, path = "", depth = 0) {
  path = path ? `${path}/${branch.name}` : branch.name;
  const [state, why] = health[path] ?? ["good", ""];
  const open = folded.get(path) ?? depth < 2;
  const inner = [];
  let worst = state;
  for (const child of branch.children) {
    for (const node of nodes(child, health, path, depth + 1)) {
      inner.push(node);
      if (node.state === "bad" || worst === "good") worst = node.state === "good" ? worst : node.state;
    }
  }
  yield { path, depth, name: branch.name, line: branch.line, state: open ? state : worst, why: why || (worst === "good" || open ? "" : "see inside"), open, many: branch.children.length };
  if (open) yield* inner;
}

export function showTree(news) {
  shown = news;
  const all = [...nodes(news.tree, news.health)];
  fill($("#tree"), all);
  const troubled = Object.keys(news.health).length;
  put($("#tree-state"), troubled ? `${troubled} node${troubled === 1 ? "" : "s"} to look at` : "all is well");
  const siblings = news.tree.children.find((child) => child.name === "siblings");
  $("#siblings-panel").hidden = !siblings;
  if (siblings) {
    const each = siblings.children.map((child) => {
      const path = `hendrix/siblings/${child.name}`;
      const [state, why] = news.health[path] ?? ["good", ""];
      return { path, depth: 0, name: child.name, line: child.line, state, why, many: 0 };
    });
    fill($("#siblings"), each);
  }
}

function fill(parent, all) {
  list(parent, all, (node) => `${node.path} ${node.many > 0}`, buildNode, (item, node) => {
    item.dataset.state = node.state;
    const [dot, name, line, why] = item.children;
    put(dot.firstElementChild, STATES[node.state]);
    put(name.querySelector(".name"), node.name);
    if (node.many) name.setAttribute("aria-expanded", String(node.open));
    put(line, node.line);
    put(why, node.why);
  });
}

function buildNode(node) {
  const name = make("span", { class: "name" }, node.name);
  let holder = name;
  if (node.many) {
    holder = make("button", { type: "button", class: "fold" }, name);
    holder.addEventListener("click", () => {
      const open = holder.getAttribute("aria-expanded") !== "true";
      folded.set(node.path, open);
      holder.setAttribute("aria-expanded", String(open));
      holder.dispatchEvent(new CustomEvent("folded", { bubbles: true }));
    });
  } else holder = make("span", { class: "leaf" }, name);
  return make("li", { class: `depth-${Math.min(node.depth, 5)}` }, make("i", { class: "dot" }, make("span", { class: "hidden" })), holder, make("span", { class: "line" }), make("span", { class: "why" }));
}

// The hub.

export function showHub(news) {
  const hub = news.tree.children.find((child) => child.name === "hub");
  const numbers = hub?.numbers ?? {};
  const lost = (numbers.missed ?? 0) + (numbers.queue_lost ?? 0);
  put($("#hub-line"), `${whole(numbers.published ?? 0)} published, ${numbers.queue_waiting ?? 0} in queues, ${lost} lost`);
  const topics = news.topics;
  $("#topics").hidden = !topics.length;
  $("#topics-none").hidden = topics.length > 0;
  list($("#topics tbody"), topics, ([topic]) => topic, ([topic]) => make("tr", {}, make("th", { scope: "row" }, topic), make("td", { class: "number" })), (row, [, many]) => put(row.children[1], whole(many)));
}

// Cases: what takes long, runs, waits or has failed, with what can be unfolded.

function cases(parent, items, key, read) {
  list(parent, items, key, (item) => {
    const { inside } = read(item);
    const head = [make("b"), make("span", { class: "title" }), make("span", { class: "aside" })];
    if (!inside) return make("li", { class: "case" }, ...head);
    const details = make("details", {}, make("summary", {}, ...head), make("pre", { tabindex: "0", role: "group" }));
    return make("li", {}, details);
  }, (element, item) => {
    const { measure, title, aside, inside, state } = read(item);
    const pre = element.querySelector("pre");
    const head = element.querySelector("summary") ?? element;
    put(head.children[0], measure);
    put(head.children[1], title);
    put(head.children[2], aside);
    element.dataset.state = state ?? "";
    if (pre) {
      put(pre, inside);
      pre.setAttribute("aria-label", `Where ${title} is, or was`);
    }
  });
}

export function showSlow(news) {
  const now = news.now;
  cases($("#under-way"), news.under_way, (one) => `${one.process} ${one.thread} ${one.title} ${Boolean(one.stack.length)}`, (one) => ({
    measure: duration(one.seconds),
    title: one.title,
    aside: one.process,
    inside: one.stack.join("\n"),
    state: one.seconds > 5 ? "busy" : "",
  }));
  cases($("#slow"), news.slow, (one) => `${one.title} ${Boolean(one.stack.length)}`, (one) => ({
    measure: duration(one.seconds),
    title: one.title,
    aside: `${one.many > 1 ? `${whole(one.many)} times, last ` : ""}${ago(now - one.time)}`,
    inside: one.stack.length ? [`${one.process}, status ${one.code || "unknown"}; where it was seen:`, ...one.stack].join("\n") : "",
    state: one.code.startsWith("5") ? "bad" : "",
  }));
}

export function showTasks(news, failures) {
  const crosstown = [...gather(news.tree, "crosstown")];
  const sum = (name) => crosstown.reduce((total, each) => total + (each.numbers[name] ?? 0), 0);
  put($("#crosstown-line"), `${whole(sum("done"))} done, ${whole(sum("failed"))} failed, ${whole(sum("gated"))} no-go`);
  cases($("#running"), news.tasks.running, (one) => `${one.process} ${one.name} ${one.origin} ${(news.now - one.seconds).toFixed(0)}`, (one) => ({
    measure: duration(one.seconds), title: one.name, aside: one.origin,
  }));
  cases($("#waiting"), news.tasks.waiting, ([name]) => name, ([name, many]) => ({ measure: whole(many), title: name, aside: "" }));
  cases($("#failures"), alike(failures), (one) => one.key, (one) => ({
    measure: clock(one.time),
    title: `${one.name}: ${one.error}`,
    aside: one.many > 1 ? `${one.kind}, ${one.many} alike` : one.kind,
    inside: `${one.origin ? `after ${one.origin}, ` : ""}${one.process}\n\n${one.traceback}`,
    state: "bad",
  }));
}

// The newest of those that have failed in the same way at the same place.
function alike(failures) {
  const found = new Map();
  for (const failure of failures) {
    const place = failure.traceback.split("\n").filter((line) => line.startsWith("  File ")).at(-1);
    const key = [failure.kind, failure.error, place].join(" ");
    const first = found.get(key);
    if (first) first.many += 1;
    else found.set(key, { ...failure, key, many: 1 });
  }
  return [...found.values()];
}

function* gather(branch, name) {
  if (branch.name === name) yield branch;
  for (const child of branch.children) yield* gather(child, name);
}

function ago(seconds) {
  return seconds < 2 ? "now" : `${span(seconds)} ago`;
}

// The log.

export function showLog(lines, least) {
  const log = $("#log");
  const follows = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  const shown = lines.filter((line) => (LEVELS[line.level] ?? 1) >= least);
  list(log, shown, (line) => line.number, (line) => {
    const time = make("time", {}, clock(line.time));
    const level = make("b", {}, line.level);
    const item = make("li", {}, time, level, make("span", { class: "source" }, line.source), make("span", { class: "text" }, line.text));
    item.dataset.level = line.level;
    return item;
  }, () => {});
  if (follows) log.scrollTop = log.scrollHeight;
}
