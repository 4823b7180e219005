// hey_joe.js: a connection to a view that calls hey_joe.accept. It reconnects, resumes where it was, and falls back to an event stream.
//
//   const joe = new HeyJoe("/chat/lobby").on("chat.lobby", (payload, message) => show(payload));
//   joe.send({text: "hello"});
//
// Part of hendrix, under the MIT licence. Types are in hey_joe.d.ts.
(function (scope) {
  "use strict";

  // Closed for good: by the application, or because to come again would change nothing.
  const FINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009, 1010]);
  const TOO_SLOW = 4008;
  const QUEUE = 1000;

  class HeyJoe {
    constructor(url, options = {}) {
      this.url = new URL(url, scope.location && scope.location.href);
      this.options = {minDelay: 500, maxDelay: 30000, transports: ["websocket", "eventstream"], protocols: [], since: null, ...options};
      this.id = this.options.since;
      this.state = "connecting";
      this.onmessage = this.onstate = this.ongap = null;
      this._handlers = new Map();
      this._wanted = new Map();
      this._queue = [];
      this._failures = 0;
      this._online = () => {
        this._failures = 0; // what failed without a network says nothing of a transport
        if (this.state === "waiting") this._connect();
      };
      this._offline = () => this._channel && this._lost(1006);
      if (scope.addEventListener) {
        scope.addEventListener("online", this._online);
        scope.addEventListener("offline", this._offline);
      }
      this._timer = setTimeout(() => this._connect(), 0); // so that there is time to say `on`
    }

    on(topic, handler) {
      if (!this._handlers.has(topic)) this._handlers.set(topic, new Set());
      this._handlers.get(topic).add(handler);
      return this;
    }

    off(topic, handler) {
      const handlers = this._handlers.get(topic);
      if (handlers) handlers.delete(handler);
      return this;
    }

    subscribe(topic, since = null) {
      this._wanted.set(topic, since);
      if (this.state === "open") this._ask("subscribe", topic, since);
      return this;
    }

    unsubscribe(topic) {
      this._wanted.delete(topic);
      if (this.state === "open") this._ask("unsubscribe", topic);
      return this;
    }

    send(data) {
      const binary = data instanceof ArrayBuffer || ArrayBuffer.isView(data) || (scope.Blob && data instanceof scope.Blob);
      const frame = typeof data === "string" || binary ? data : JSON.stringify(data);
      if (this.state === "open" && this.transport === "websocket") this._channel.send(frame);
      else if (this.state === "closed" || this.transport === "eventstream" || this._queue.length >= QUEUE) return false;
      else this._queue.push(frame);
      return true;
    }

    close(code = 1000, reason = "") {
      if (this.state === "closed") return;
      const channel = this._forget();
      if (channel) channel.close(code, reason);
      this._end(code, reason);
    }

    _connect() {
      clearTimeout(this._timer);
      const transports = this.options.transports;
      // Two attempts with each: a server that restarts must not cost the client its WebSocket.
      this.transport = transports[Math.floor(this._failures / 2) % transports.length];
      this._become("connecting");
      const url = new URL(this.url);
      if (this.id) url.searchParams.set("since", this.id);
      if (this.transport === "websocket") this._openSocket(url);
      else this._openStream(url);
    }

    _openSocket(url) {
      url.protocol = url.protocol.replace("http", "ws");
      const socket = this._channel = new scope.WebSocket(url, this.options.protocols);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        if (socket === this._channel) this._opened();
      };
      socket.onmessage = (event) => {
        if (socket === this._channel) this._received(event.data);
      };
      socket.onclose = (event) => {
        if (socket === this._channel) this._lost(event.code, event.reason);
      };
    }

    _openStream(url) {
      const stream = this._channel = new scope.EventSource(url, {withCredentials: true});
      stream.onopen = () => {
        if (stream === this._channel) this._opened();
      };
      stream.onmessage = (event) => {
        if (stream === this._channel) this._received(event.data);
      };
      stream.addEventListener("gap", stream.onmessage);
      stream.addEventListener("at", (event) => {
        if (stream === this._channel) this.id = event.data;
      });
      stream.addEventListener("end", (event) => {
        if (stream === this._channel) this._lost(Number(event.data));
      });
      stream.onerror = () => {
        if (stream === this._channel) this._lost(1006);
      };
    }

    _opened() {
      this._failures = 0;
      this._become("open");
      if (this.transport !== "websocket") return;
      for (const [topic, since] of this._wanted) this._ask("subscribe", topic, this.id || since);
      for (const frame of this._queue.splice(0)) this._channel.send(frame);
    }

    _ask(verb, topic, since = null) {
      if (this.transport === "websocket") this._channel.send(JSON.stringify({hey_joe: verb, topic, since}));
    }

    _received(data) {
      const message = parsed(data);
      if (message === null || typeof message !== "object" || Array.isArray(message)) this._call(this.onmessage, message);
      else if ("hey_joe" in message) {
        if (message.id) this.id = message.id;
      } else if ("gap" in message && "reason" in message) this._call(this.ongap, message);
      else if ("topic" in message && "id" in message) {
        this.id = message.id;
        for (const [pattern, handlers] of this._handlers) {
          if (matches(pattern, message.topic)) for (const handler of handlers) this._call(handler, message.payload, message);
        }
      } else this._call(this.onmessage, message);
    }

    // What a handler throws must not keep others from being called.
    _call(handler, ...args) {
      if (!handler) return;
      try {
        handler.apply(this, args);
      } catch (error) {
        setTimeout(() => {
          throw error;
        });
      }
    }

    _lost(code, reason = "") {
      const channel = this._forget();
      if (channel) channel.close();
      if (FINAL.has(code) || (code >= 4000 && code !== TOO_SLOW)) {
        this._end(code, reason);
        return;
      }
      const {minDelay, maxDelay} = this.options;
      const delay = Math.min(maxDelay, minDelay * 2 ** this._failures) * (0.5 + Math.random());
      this._failures += 1;
      this._timer = setTimeout(() => this._connect(), delay);
      this._become("waiting");
    }

    _forget() {
      clearTimeout(this._timer);
      const channel = this._channel;
      this._channel = null;
      return channel;
    }

    _end(code, reason) {
      if (scope.removeEventListener) {
        scope.removeEventListener("online", this._online);
        scope.removeEventListener("offline", this._offline);
      }
      this.code = code;
      this.reason = reason;
      this._become("closed");
    }

    _become(state) {
      if (state === this.state) return;
      this.state = state;
      this._call(this.onstate, state);
    }
  }

  function parsed(data) {
    if (typeof data !== "string" || !/^[{[]/.test(data)) return data;
    try {
      return JSON.parse(data);
    } catch {
      return data;
    }
  }

  // As the hub matches: * is one level, ** at the end is all that follow.
  function matches(pattern, topic) {
    if (pattern === topic) return true;
    if (!pattern.includes("*")) return false;
    const wanted = pattern.split("."), levels = topic.split(".");
    const rest = wanted[wanted.length - 1] === "**";
    if (rest) wanted.pop();
    if (rest ? levels.length <= wanted.length : levels.length !== wanted.length) return false;
    return wanted.every((want, index) => want === "*" || want === levels[index]);
  }

  scope.HeyJoe = HeyJoe;
  if (typeof module === "object") module.exports = HeyJoe;
})(typeof globalThis === "object" ? globalThis : this);
