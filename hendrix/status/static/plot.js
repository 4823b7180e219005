// Moving plots over the last minutes, as SVG: no colours in here, page.css has them.

import { clock, make, put } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 52, RIGHT = 8, TOP = 10, BOTTOM = 22;

function svg(tag, given = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(given)) element.setAttribute(name, value);
  return element;
}

// The smallest of 1, 2, 5, 10, ... that is not below.
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= value * 0.9999);
}

export class Plot {
  // lines: [{key, label, style, area}]; the later ones are drawn above. least: the top of the scale is no lower.
  constructor(figure, { title, lines, format, least }) {
    Object.assign(this, { figure, lines, format, least, title, seconds: 300, rows: [], at: null });
    this.legend = make("dl", { class: "legend" });
    this.values = lines.map((line) => {
      const value = make("dd");
      this.legend.append(make("div", {}, make("dt", {}, make("i", { class: `swatch ${line.style}` }), line.label), value));
      return value;
    });
    this.when = make("p", { class: "when quiet" });
    figure.append(make("figcaption", {}, make("h3", {}, title), this.when, this.legend));
    this.frame = make("div", { class: "plot", tabindex: "0", role: "group", "aria-label": `${title}; with the arrow keys, second by second` });
    this.root = svg("svg", { "aria-hidden": "true" });
    this.grid = svg("g", { class: "grid" });
    this.inner = svg("svg", { x: LEFT, y: 0 });
    this.moving = svg("g");
    this.areas = lines.map((line) => (line.area ? this.moving.appendChild(svg("path", { class: `${line.style} area` })) : null));
    this.paths = lines.map((line) => this.moving.appendChild(svg("path", { class: line.style })));
    this.cross = svg("line", { class: "cross", visibility: "hidden" });
    this.inner.append(this.moving, this.cross);
    this.root.append(this.grid, this.inner);
    this.frame.append(this.root);
    figure.append(this.frame);
    this.spoken = make("p", { class: "hidden", "aria-live": "polite" });
    figure.append(this.spoken);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.frame);
  }

  listen() {
    this.frame.addEventListener("pointermove", (event) => {
      const x = event.clientX - this.root.getBoundingClientRect().left - LEFT;
      this.look(this.last - Math.round((1 - x / this.width) * this.seconds));
    });
    this.frame.addEventListener("pointerleave", () => this.look(null));
    this.frame.addEventListener("blur", () => this.look(null));
    this.frame.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30 }[event.key];
      if (step) this.look((this.at ?? this.last) + step, true);
      else if (event.key === "Escape") this.look(null);
      else return;
      event.preventDefault();
    });
  }

  // A second that is looked at, null for the last one.
  look(at, speak = false) {
    this.at = at === null ? null : Math.max(this.last - this.seconds, Math.min(this.last, at));
    if (this.at === this.last) this.at = null;
    this.tell();
    if (speak) put(this.spoken, `${this.when.textContent}: ${this.lines.map((line, i) => `${line.label} ${this.values[i].textContent}`).join(", ")}`);
  }

  get last() {
    return this.rows.at(-1)?.t ?? 0;
  }

  tell() {
    const row = this.at === null ? this.rows.at(-1) : this.rows.find((each) => each.t === this.at);
    put(this.when, this.at === null ? "" : clock(this.at));
    this.lines.forEach((line, i) => put(this.values[i], this.format(row?.[line.key] ?? null)));
    const x = this.at === null ? -1 : this.x(this.at);
    this.cross.setAttribute("visibility", x < 0 ? "hidden" : "visible");
    for (const end of ["x1", "x2"]) this.cross.setAttribute(end, x);
  }

  x(t) {
    return this.width * (1 - (this.last - t) / this.seconds);
  }

  show(rows, seconds) {
    const moved = this.rows.length > 0 && seconds === this.seconds && rows.at(-1)?.t - this.last === 1;
    Object.assign(this, { rows, seconds });
    this.draw();
    if (moved && !matchMedia("(prefers-reduced-motion: reduce)").matches && seconds <= 300) this.glide();
  }

  // From where the lines were a second ago to where they are.
  glide() {
    this.moving.getAnimations().forEach((each) => each.cancel());
    const step = this.width / this.seconds;
    this.moving.animate([{ transform: `translateX(${step}px)` }, { transform: "none" }], { duration: 1000, easing: "linear" });
  }

  draw() {
    const { width, height } = this.frame.getBoundingClientRect();
    if (!width || !height) return;
    this.width = width - LEFT - RIGHT;
    this.height = height - TOP - BOTTOM;
    this.root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.inner.setAttribute("width", this.width);
    this.inner.setAttribute("height", height - BOTTOM + 2);
    const from = this.last - this.seconds;
    const shown = this.rows.filter((row) => row.t >= from);
    const most = Math.max(this.least, ...shown.flatMap((row) => this.lines.map((line) => row[line.key] ?? 0)));
    this.top = nice(most * 1.02);
    this.lines.forEach((line, i) => {
      this.paths[i].setAttribute("d", this.path(shown, line));
      this.areas[i]?.setAttribute("d", this.path(shown, line, true));
    });
    this.drawGrid(width, from);
    for (const [end, y] of [["y1", TOP], ["y2", TOP + this.height]]) this.cross.setAttribute(end, y);
    this.tell();
  }

  y(value) {
    return TOP + this.height * (1 - value / this.top);
  }

  // A second without a value interrupts the line; one alone is a dot.
  path(rows, line, area = false) {
    const parts = [];
    let pen = false, first = 0, x = 0;
    const close = () => pen && area && parts.push(`V${this.y(0).toFixed(1)}H${first.toFixed(1)}Z`);
    for (const row of rows) {
      const value = row[line.key];
      if (value === null || value === undefined) {
        close();
        pen = false;
        continue;
      }
      x = this.x(row.t);
      if (!pen) first = x;
      parts.push(`${pen ? "L" : "M"}${x.toFixed(1)} ${this.y(value).toFixed(1)}${pen ? "" : "h0.01"}`);
      pen = true;
    }
    close();
    return parts.join("");
  }

  drawGrid(width, from) {
    const pieces = [];
    for (const part of [0, 0.5, 1]) {
      const y = this.y(this.top * part);
      pieces.push(svg("line", { x1: LEFT, x2: width - RIGHT, y1: y, y2: y }));
      const label = svg("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" });
      label.textContent = this.format(this.top * part, true);
      pieces.push(label);
    }
    const step = { 60: 15, 300: 60, 600: 120 }[this.seconds] ?? 60;
    for (let back = step; back < this.seconds; back += step) {
      const x = LEFT + this.width * (1 - back / this.seconds);
      const label = svg("text", { x, y: TOP + this.height + 17, "text-anchor": "middle" });
      label.textContent = back < 60 ? `−${back} s` : `−${back / 60} min`;
      pieces.push(svg("line", { class: "tick", x1: x, x2: x, y1: TOP + this.height, y2: TOP + this.height + 4 }), label);
    }
    this.grid.replaceChildren(...pieces);
  }
}
