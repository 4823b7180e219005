// The stream of events: opened again and again, with the token if there is one. EventSource could not send that.

const SILENCE = 6000; // milliseconds without a word, after which the connection is taken for dead
const PAUSES = [500, 1000, 2000, 4000];

export class Stream {
  // on: {state(name, detail), event(name, data)}; the states are connecting, live, disconnected and locked.
  constructor(on) {
    this.on = on;
    this.token = sessionStorage.getItem("token") || "";
    this.failures = 0;
    addEventListener("online", () => this.again());
    addEventListener("offline", () => this.controller?.abort());
  }

  get headers() {
    return this.token ? { Authorization: `Bearer ${this.token}` } : {};
  }

  unlock(token) {
    this.token = token;
    if (token) sessionStorage.setItem("token", token);
    else sessionStorage.removeItem("token");
    this.again();
  }

  // Connect now, whatever there is.
  again() {
    this.failures = 0;
    this.controller?.abort();
    clearTimeout(this.waiting);
    this.run();
  }

  async run() {
    const controller = (this.controller = new AbortController());
    this.on.state("connecting");
    let why = "hendrix does not answer";
    try {
      const answer = await fetch("/events", { headers: this.headers, signal: controller.signal, cache: "no-store" });
      if (answer.status === 401 || answer.status === 421) {
        this.on.state("locked", await answer.text());
        return;
      }
      if (answer.ok) await this.read(answer, controller);
      else why = (await answer.text()).trim();
    } catch (error) {
      if (controller !== this.controller) return;
    }
    clearTimeout(this.watch);
    if (controller !== this.controller) return; // there is another one already
    const pause = PAUSES[Math.min(this.failures++, PAUSES.length - 1)];
    this.on.state("disconnected", why);
    this.waiting = setTimeout(() => this.run(), pause);
  }

  async read(answer, controller) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      clearTimeout(this.watch);
      this.watch = setTimeout(() => controller.abort(), SILENCE);
      const { done, value } = await reader.read();
      if (done || controller !== this.controller) return;
      const parts = (text + value).split("\n\n");
      text = parts.pop();
      for (const part of parts) this.take(part);
    }
  }

  take(part) {
    const name = /^event: (.*)$/m.exec(part)?.[1];
    const data = /^data: (.*)$/m.exec(part)?.[1];
    if (!name || !data) return;
    this.failures = 0;
    this.on.event(name, JSON.parse(data));
    if (name !== "hello") this.on.state("live");
  }

  // Have hendrix do something. Gives what it says; throws what is wrong.
  async command(name, given = {}) {
    const answer = await fetch(`/do/${name}`, {
      method: "POST",
      headers: { ...this.headers, "Content-Type": "application/json" },
      body: JSON.stringify(given),
    });
    const text = (await answer.text()).trim();
    if (!answer.ok) throw new Error(text);
    const said = JSON.parse(text);
    return typeof said === "string" ? said : "done";
  }
}
