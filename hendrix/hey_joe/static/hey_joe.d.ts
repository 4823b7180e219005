/** What a handler of `on` gets as its second argument. */
interface HeyJoeMessage<Payload = unknown> {
  topic: string;
  /** `epoch-offset`; it grows from one message to the next. */
  id: string;
  /** When the hub had it, in seconds since 1970. */
  time: number;
  payload: Payload;
}

/** Messages that are lost: say so, or load the page's data again. */
interface HeyJoeGap {
  /** The topic, or the pattern that was subscribed to. */
  gap: string;
  /** How many, null if that is not known. */
  lost: number | null;
  reason: "slow" | "latest" | "history" | "overload";
}

interface HeyJoeOptions {
  /** Milliseconds before the first attempt to come back; doubled for each further one, and half as much again or less by chance. */
  minDelay?: number;
  /** Milliseconds at most. */
  maxDelay?: number;
  /** Which to try, in this order; two attempts with each. */
  transports?: ("websocket" | "eventstream")[];
  /** Subprotocols of the WebSocket. */
  protocols?: string[];
  /** The id that the page was rendered at: what came after it is delivered first. */
  since?: string | null;
}

type HeyJoeState = "connecting" | "open" | "waiting" | "closed";

/** A connection to a view that calls `hey_joe.accept`. It reconnects with back-off, and resumes after the last message it had. */
declare class HeyJoe {
  constructor(url: string | URL, options?: HeyJoeOptions);

  /** "waiting" is between two attempts; "closed" is for good. */
  readonly state: HeyJoeState;
  /** The id of the last message, where it will resume. */
  readonly id: string | null;
  /** What is used now. */
  readonly transport?: "websocket" | "eventstream";
  /** Once closed: the code, and the reason. */
  readonly code?: number;
  readonly reason?: string;

  /** Called with what the view sent to this connection alone: text, an ArrayBuffer, or what JSON said. */
  onmessage: ((this: HeyJoe, data: any) => void) | null;
  /** Called when `state` changes. */
  onstate: ((this: HeyJoe, state: HeyJoeState) => void) | null;
  /** Called when messages are lost. */
  ongap: ((this: HeyJoe, gap: HeyJoeGap) => void) | null;

  /** Call `handler` for messages of a topic, or of those that a pattern matches: `*` is one level, `**` at the end all that follow. */
  on<Payload = any>(topic: string, handler: (this: HeyJoe, payload: Payload, message: HeyJoeMessage<Payload>) => void): this;
  off(topic: string, handler: (...args: any[]) => void): this;
  /** Ask for a topic that the view allows and does not send by itself. Only by WebSocket. */
  subscribe(topic: string, since?: string | null): this;
  unsubscribe(topic: string): this;
  /**
   * Send text, bytes, or anything else as JSON; while there is no connection it waits.
   * @returns false if it was not sent and will not be: closed, on an event stream, or too much waits.
   */
  send(data: string | ArrayBuffer | ArrayBufferView | Blob | object | number | boolean | null): boolean;
  close(code?: number, reason?: string): void;
}
