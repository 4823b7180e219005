// A room: what is said, who is here, what is unread, and what is still to be sent.
"use strict";

(function () {
  const by = (id) => document.getElementById(id);
  const chat = by("chat"), text = by("text"), composer = by("composer"), state = by("state"), banner = by("banner");
  const {me, room, name, since, live, say, messages, rooms, login} = chat.dataset;
  const log = new Log(chat);
  const joe = new HeyJoe(live, {since});

  // What goes to the server: over the WebSocket, or as a request where there is only a stream of events.

  function tell(data, url = say) {
    if (url === say && joe.state === "open" && joe.transport === "websocket") {
      joe.send(data);
      return;
    }
    const token = composer.elements.csrfmiddlewaretoken.value;
    fetch(url, {method: "POST", headers: {"Content-Type": "application/json", "X-CSRFToken": token}, body: JSON.stringify(data)})
      .then((response) => (response.ok && !response.redirected ? response.json() : {}))
      .then(answered)
      .catch(() => {}); // it is sent again
  }

  function answered(data) {
    if (data.here) isHere(data.here);
    else if ("refused" in data) refused(data);
  }

  // What was written waits here until it has come back from the server. It is sent again whenever that is in doubt: its key makes it one.

  const AGAIN = 10000;
  let outbox = recall("outbox") || [];

  function recall(what) {
    return JSON.parse(sessionStorage.getItem(`${me} ${what}`));
  }

  function keep(what, value) {
    sessionStorage.setItem(`${me} ${what}`, JSON.stringify(value));
  }

  function write(words) {
    const item = {key: crypto.randomUUID ? crypto.randomUUID() : randomKey(), text: words, at: new Date().toISOString(), url: say, sent: 0};
    outbox.push(item);
    keep("outbox", outbox);
    log.addPending(item);
    log.arrange();
    log.toEnd();
    if (joe.state === "open") post(item);
  }

  function randomKey() { // where the page has come by plain HTTP from another machine
    const digits = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  function post(item) {
    item.sent = Date.now();
    tell({key: item.key, text: item.text}, item.url);
  }

  function done(key) {
    outbox = outbox.filter((item) => item.key !== key);
    keep("outbox", outbox);
  }

  function refused({refused, why}) {
    const item = outbox.find(({key}) => key === refused);
    if (!item) return;
    done(refused);
    log.drop(refused);
    text.value = [item.text, text.value].filter(Boolean).join("\n");
    grow();
    show(`Not sent: ${why}`);
  }

  setInterval(() => {
    if (joe.state !== "open") return;
    for (const item of outbox) if (Date.now() - item.sent > AGAIN) post(item);
  }, 1000);

  // What is said, here and elsewhere.

  let seen = Number(chat.dataset.seen), missed = 0;

  function said(message) {
    typing.delete(message.who);
    showTyping();
    const follow = log.atEnd || message.who === me;
    if (!log.add(message)) return;
    if (message.who !== me && document.hidden && !missed) log.markUnread(message.id - 1);
    log.arrange();
    if (follow) log.toEnd();
    if (message.who !== me && (document.hidden || !follow)) missed += 1;
    haveRead();
  }

  joe.on("chat.*", (message, {topic}) => {
    if (message.who === me) done(message.key);
    if (topic === `chat.${room}`) said(message);
    else unread(topic.slice(5), message);
  });

  // What the hub had no longer, the database has.
  joe.ongap = ({gap}) => {
    if (gap.startsWith("chat.")) catchUp(Math.max(0, log.last - 50));
  };

  async function catchUp(after) {
    try {
      const found = await (await fetch(`${messages}?after=${after}`)).json();
      found.messages.forEach(said);
      for (const [slug, [count, last]] of Object.entries(found.unread)) setUnread(slug, count, last);
      for (const message of found.messages) if (message.who === me) done(message.key);
      if (found.more) catchUp(found.messages.at(-1).id);
    } catch {
      setTimeout(() => catchUp(after), 2000);
    }
  }

  by("earlier").onclick = async ({target}) => {
    const found = await (await fetch(`${messages}?before=${log.first}`)).json();
    const height = log.box.scrollHeight;
    for (const message of found.messages) log.add(message);
    log.arrange();
    log.box.scrollTop += log.box.scrollHeight - height;
    target.hidden = !found.more;
  };

  // What is unread: here below the mark, elsewhere as a number, and in the title of a window that nobody looks at.

  function haveRead() {
    if (!document.hidden && log.atEnd) {
      missed = 0;
      if (log.last > seen) tell({read: (seen = log.last)});
    }
    by("latest").hidden = log.atEnd || !missed;
    by("latest").textContent = `${missed} new`;
    document.title = `${missed ? `(${missed}) ` : ""}${name} · Chat`;
  }

  by("latest").onclick = () => log.toEnd();
  log.box.onscroll = document.onvisibilitychange = haveRead;

  function linkOf(slug) {
    return [...by("rooms").querySelectorAll("a")].find((link) => link.dataset.room === slug);
  }

  function unread(slug, message) {
    const link = linkOf(slug);
    if (link && message.who !== me && message.id > Number(link.dataset.last)) {
      setUnread(slug, Number(link.querySelector(".badge").hidden ? 0 : link.querySelector(".count").textContent) + 1, message.id);
    }
  }

  function setUnread(slug, count, last) {
    const link = linkOf(slug);
    if (!link || slug === room) return;
    link.dataset.last = last;
    link.querySelector(".count").textContent = count;
    link.querySelector(".badge").hidden = !count;
    countElsewhere();
  }

  function countElsewhere() {
    const badges = [...by("rooms").querySelectorAll(".badge:not([hidden]) .count")];
    const sum = badges.reduce((total, badge) => total + Number(badge.textContent), 0);
    by("elsewhere").hidden = !sum;
    by("elsewhere").textContent = sum;
  }

  joe.on("rooms", (fresh) => {
    if (linkOf(fresh.slug)) return;
    const item = by("rooms").lastElementChild.cloneNode(true), link = item.firstElementChild;
    link.href = `${rooms}${fresh.slug}/`;
    link.removeAttribute("aria-current");
    Object.assign(link.dataset, {room: fresh.slug, last: 0});
    link.querySelector(".name").textContent = fresh.name;
    link.querySelector("small").textContent = "";
    by("rooms").append(item);
    setUnread(fresh.slug, 0, 0);
  });

  // Who is here. Who comes back at once, as all do when the server has new code, was never away.

  const AWAY = 6000;
  const people = new Set([...by("people").children].map((item) => item.dataset.who));
  const leaving = new Map();
  let events = [];

  function comes(who, quietly) {
    clearTimeout(leaving.get(who));
    leaving.delete(who);
    if (people.has(who)) return;
    people.add(who);
    showPeople(quietly ? "" : `${who} is here`);
  }

  function goes(who) {
    if (who === me || leaving.has(who) || !people.has(who)) return;
    leaving.set(who, setTimeout(() => {
      leaving.delete(who);
      people.delete(who);
      showPeople(`${who} has left`);
    }, AWAY));
  }

  function happened({event, who}) {
    if (event === "join") comes(who);
    else goes(who);
  }

  function isHere(names) {
    for (const who of names) comes(who, true);
    for (const who of people) if (!names.includes(who)) goes(who);
    events.forEach(happened); // which the list may be older than
    events = [];
  }

  joe.on(`$presence.chat.${room}`, (event) => {
    events.push(event);
    happened(event);
  });

  function showPeople(notice) {
    const names = [...people].sort((one, other) => one.localeCompare(other));
    by("people").replaceChildren(...names.map((who) => {
      const item = document.createElement("li"), label = document.createElement("span");
      item.dataset.who = who;
      label.className = "name";
      label.textContent = who;
      item.append(faceOf(who), label);
      return item;
    }));
    by("faces").replaceChildren(...names.map((who) => faceOf(who, "li")));
    by("count").textContent = names.length;
    if (!notice) return;
    const follow = log.atEnd;
    log.notice(notice);
    log.arrange();
    if (follow) log.toEnd();
  }

  const typing = new Map();
  let saidTyping = 0;

  joe.on(`typing.${room}`, (who) => {
    if (who === me) return;
    typing.set(who, Date.now() + 4000);
    showTyping();
    setTimeout(showTyping, 4050);
  });

  function showTyping() {
    const names = [...typing].filter(([, until]) => until > Date.now()).map(([who]) => who);
    by("typing").textContent = names.length > 2 ? "Several people are typing" : names.length ? `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} typing` : "";
  }

  // The connection.

  const WORDS = {connecting: "Connecting", open: "Connected", waiting: "Reconnecting", closed: "Disconnected"};

  function show(words, link) {
    banner.hidden = !words;
    banner.textContent = words;
    if (link) banner.append(" ", link);
  }

  joe.onmessage = (data) => answered(data);

  joe.onstate = (now) => {
    state.dataset.state = now === "connecting" && state.dataset.state === "waiting" ? "waiting" : now;
    state.firstElementChild.textContent = WORDS[state.dataset.state];
    state.title = now === "open" && joe.transport === "eventstream" ? "by a stream of events" : "";
    if (now === "open") {
      show("");
      events = [];
      outbox.forEach(post);
      haveRead();
    } else if (now === "waiting") {
      show("The connection is lost, and is being looked for. What you write now is sent when it is back.");
    } else if (now === "closed") {
      const link = document.createElement("a");
      link.href = joe.code === 4401 || joe.code === 1008 ? `${login}?next=${encodeURIComponent(location.pathname)}` : location.href;
      link.textContent = link.href === location.href ? "Load the page again" : "Log in again";
      show(link.href === location.href ? `The connection has ended (${joe.code}).` : "You are logged out.", link);
    }
  };

  // Writing.

  function grow() {
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight + text.offsetHeight - text.clientHeight}px`;
    keep(`draft ${room}`, text.value);
  }

  composer.onsubmit = (event) => {
    event.preventDefault();
    if (!text.value.trim()) return;
    write(text.value.trim());
    text.value = "";
    grow();
    text.focus();
  };

  text.oninput = () => {
    grow();
    if (text.value && joe.state === "open" && Date.now() - saidTyping > 3000) {
      saidTyping = Date.now();
      tell({typing: true});
    }
  };

  text.onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !matchMedia("(pointer: coarse)").matches) {
      event.preventDefault();
      composer.requestSubmit();
    }
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      text.focus();
    } else if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault();
      const links = [...by("rooms").querySelectorAll("a")];
      const index = links.findIndex((link) => link.dataset.room === room) + (event.key === "ArrowUp" ? -1 : 1);
      links[(index + links.length) % links.length].click();
    }
  });

  // The start.

  for (const item of outbox) if (item.url === say) log.addPending(item);
  log.arrange();
  countElsewhere();
  text.value = recall(`draft ${room}`) || "";
  grow();
  const mark = log.list.querySelector(".unread");
  if (mark) mark.scrollIntoView({block: "center"});
  else log.toEnd();
  if (!matchMedia("(pointer: coarse)").matches) text.focus();
})();
