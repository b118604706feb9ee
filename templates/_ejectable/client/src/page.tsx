/** The page's entry: loads the server's config, shows one call at a time, handles keys. */

import { render } from "preact";
import { Call, preload } from "./call";
import { chooseDetails, showsDetails } from "./details";
import { type Config, fetchConfig, type TransportName } from "./server";
import "./page.css";
import { type Problem, problemFrom } from "./problem";
import { Screen } from "./view/screen";

/** Elements that handle the space key themselves. */
const USES_SPACE = "input, select, textarea, button, summary, a";

const root = document.querySelector("#page") as HTMLElement;
let config: Config | undefined;
let configProblem: Problem | undefined;
let transport: TransportName = "websocket";
const call = new Call(show);

function show(): void {
  render(
    <Screen
      call={call}
      config={config}
      configProblem={configProblem}
      transport={transport}
      choose={choose}
      details={showsDetails(call.invite)}
      chooseDetails={(shown) => {
        chooseDetails(shown);
        show();
      }}
      retry={load}
    />,
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
  if (event.key === " " && call.active && !target.closest(USES_SPACE)) {
    event.preventDefault();
    if (!event.repeat) call.mute(!call.muted);
  } else if (event.key === "Escape" && call.active) {
    // In a field, the first Esc leaves the field; only the next one hangs up.
    const field = target.closest<HTMLElement>("input, select");
    if (field) field.blur();
    else call.hangUp();
  }
});

// An invite link that is opened in a tab that already shows the page.
addEventListener("hashchange", () => call.takeInvite());

async function load(): Promise<void> {
  configProblem = undefined;
  show();
  try {
    config = await fetchConfig();
    document.title = config.project;
    choose(config.transports[0] ?? transport);
  } catch (error) {
    configProblem = problemFrom(error);
  }
  show();
}

void load();
