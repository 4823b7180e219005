// The drawing: frames flow from the right to the left, one lane for each ethertype; the taller, the longer.
"use strict";

const NAMES = {0x0800: "IPv4", 0x0806: "ARP", 0x86dd: "IPv6", 0x88b5: "Trial", 0x88cc: "LLDP", 0x8100: "VLAN", 0x888e: "802.1X"};
const HUES = {0x0800: 300, 0x0806: 75, 0x86dd: 215, 0x88b5: 15, 0x88cc: 150};
const SECONDS = 20, MOST = 5000, LANES = 7, FLASH = 0.7;

const hex = (number) => "0x" + number.toString(16).padStart(4, "0");
const nameOf = (type) => NAMES[type] || (type < 0x600 ? "802.3" : hex(type));
const hueOf = (type) => HUES[type] ?? (type * 137.5) % 360;

class River {
  constructor(canvas) {
    this.canvas = canvas;
    this.frames = [];
    this.lanes = [];
    this.chosen = null;
    this.stopped = null;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
    this.draw();
  }

  add(frame) {
    frame.at = performance.now() / 1000;
    this.frames.push(frame);
    if (this.frames.length > MOST) this.frames.splice(0, this.frames.length - MOST);
    let lane = this.lanes.find((one) => one.type === frame.ethertype);
    if (!lane) {
      if (this.lanes.length === LANES) this.lanes.splice(this.lanes.indexOf(this.lanes.reduce((a, b) => (a.at < b.at ? a : b))), 1);
      this.lanes.push(lane = {type: frame.ethertype, count: 0});
      this.lanes.sort((a, b) => a.type - b.type);
    }
    lane.at = frame.at;
    lane.count += 1;
  }

  resize() {
    const {width, height} = this.canvas.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    Object.assign(this, {width, height, left: width < 500 ? 70 : 112});
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.pen = this.canvas.getContext("2d");
    this.pen.scale(ratio, ratio);
  }

  // Where a frame is now: none if its lane or its time is over.
  place(frame, now) {
    const row = this.lanes.findIndex((lane) => lane.type === frame.ethertype), age = now - frame.at;
    if (row < 0 || age > SECONDS) return null;
    const tall = this.height / this.lanes.length, most = Math.min(tall * 0.72, 90);
    const size = Math.max(6, most * Math.min(1, Math.log2(frame.length / 32) / Math.log2(1514 / 32)));
    return {x: this.width - 14 - (age / SECONDS) * (this.width - 14 - this.left), y: (row + 0.5) * tall, size, age};
  }

  // The frame nearest to a point, of those that are near.
  near(x, y) {
    const now = this.stopped ?? performance.now() / 1000;
    let best = null, least = 14;
    for (const frame of this.frames) {
      const at = this.place(frame, now);
      if (!at || Math.abs(at.y - y) > Math.max(at.size / 2, 10) + 4) continue;
      if (Math.abs(at.x - x) < least) [best, least] = [frame, Math.abs(at.x - x)];
    }
    return best;
  }

  draw() {
    const {pen, width, height} = this, now = this.stopped ?? performance.now() / 1000, light = this.dark.matches ? 0.76 : 0.56;
    const ink = getComputedStyle(this.canvas).color;
    while (this.stopped === null && this.frames.length && now - this.frames[0].at > SECONDS) this.frames.shift();
    pen.clearRect(0, 0, width, height);
    this.lanes.forEach((lane, row) => {
      const tall = height / this.lanes.length, y = (row + 0.5) * tall, hue = hueOf(lane.type);
      const line = pen.createLinearGradient(this.left, 0, width, 0);
      line.addColorStop(0, `oklch(${light} .12 ${hue} / 0)`);
      line.addColorStop(1, `oklch(${light} .12 ${hue} / .5)`);
      pen.fillStyle = line;
      pen.fillRect(this.left, y - 0.5, width - this.left, 1);
      pen.fillStyle = `oklch(${light} .15 ${hue})`;
      pen.font = "600 13px system-ui, sans-serif";
      pen.fillText(nameOf(lane.type), 16, y - 1);
      pen.fillStyle = ink;
      pen.globalAlpha = 0.6;
      pen.font = "12px system-ui, sans-serif";
      pen.fillText(lane.count.toLocaleString("en"), 16, y + 15);
      pen.globalAlpha = 1;
    });
    const wide = width < 500 ? 3 : 5;
    for (const frame of this.frames) {
      const at = this.place(frame, now);
      if (!at) continue;
      const hue = hueOf(frame.ethertype), toAll = frame.kind === "broadcast" || frame.kind === "multicast";
      pen.globalAlpha = Math.min(1, (SECONDS - at.age) / 5);
      pen.fillStyle = pen.strokeStyle = `oklch(${light} .17 ${hue})`;
      pen.beginPath();
      pen.roundRect(at.x - wide / 2, at.y - at.size / 2, wide, at.size, wide / 2);
      pen.lineWidth = 2;
      if (frame.kind === "outgoing") pen.stroke(); else pen.fill();
      if (toAll) {
        pen.beginPath();
        pen.arc(at.x, at.y - at.size / 2 - 7, 2.5, 0, 7);
        pen.fill();
      }
      if (at.age < FLASH && !this.still.matches) {
        pen.globalAlpha = (1 - at.age / FLASH) * 0.55;
        pen.lineWidth = 1.5;
        pen.beginPath();
        pen.ellipse(at.x, at.y, 4 + at.age * 34, at.size / 2 + at.age * 34, 0, 0, 7);
        pen.stroke();
      }
      if (frame === this.chosen) {
        pen.globalAlpha = 1;
        pen.strokeStyle = ink;
        pen.lineWidth = 1.5;
        pen.beginPath();
        pen.roundRect(at.x - 6.5, at.y - at.size / 2 - 4, 13, at.size + 8, 6);
        pen.stroke();
      }
    }
    pen.globalAlpha = pen.lineWidth = 1;
    if (this.still.matches) setTimeout(() => this.draw(), 500);
    else requestAnimationFrame(() => this.draw());
  }
}
