/** The page: what the server says of itself, one call at a time, and the keys that steer it. */

import { render } from "preact";
import { Call, preload } from "./call";
import { type Config, fetchConfig, type TransportName } from "./server";
import "./page.css";
import { type Trouble, troubleOf } from "./trouble";
import { Screen } from "./view/screen";

/** Where a space belongs to what has the focus. */
const TYPING = "input, select, textarea, button, summary, a";

const root = document.querySelector("#page") as HTMLElement;
let config: Config | undefined;
let lost: Trouble | undefined;
let transport: TransportName = "websocket";
const call = new Call(show);

function show(): void {
  render(
    <Screen call={call} config={config} lost={lost} transport={transport} choose={choose} />,
    root,
  );
}

function choose(name: TransportName): void {
  transport = name;
  preload(name);
  show();
}

addEventListener("keydown", (event) => {
  const target = event.target as HTMLElement;
  if (event.key === " " && call.active && !target.closest(TYPING)) {
    event.preventDefault();
    if (!event.repeat) call.mute(!call.muted);
  } else if (event.key === "Escape" && call.active) {
    // The first Esc leaves what is being typed or chosen.
    const busy = target.closest<HTMLElement>("input, select");
    if (busy) busy.blur();
    else call.hangUp();
  }
});

// An invite that comes into a page that is open already.
addEventListener("hashchange", () => call.takeInvite());

show();
try {
  config = await fetchConfig();
  document.title = config.project;
  choose(config.transports[0] ?? transport);
} catch (error) {
  lost = troubleOf(error);
}
show();
