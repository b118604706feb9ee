/** The page's entry: loads the server's config, shows one call at a time, handles keys. */

import { render } from "preact";
import { Call, preload } from "./call";
import { chooseDetails, showsDetails } from "./details";
import { forgetInvite, keepInvite, takeInvite } from "./invite";
import { handleKey } from "./keys";
import "./page.css";
import { type Problem, problemFrom } from "./problem";
import { type Config, Server, type TransportName } from "./server";
import { Screen } from "./view/screen";

const root = document.querySelector("#page") as HTMLElement;
let config: Config | undefined;
let configProblem: Problem | undefined;
let transport: TransportName = "websocket";
let invite = takeInvite();
const server = new Server(document.baseURI, () => invite);
const call = new Call(server, () => {
  if (call.problem?.remedy === "key") dropInvite();
  show();
});

function show(): void {
  render(
    <Screen
      call={call}
      config={config}
      configProblem={configProblem}
      transport={transport}
      choose={choose}
      invite={invite}
      useInvite={useInvite}
      details={showsDetails(invite)}
      chooseDetails={(shown) => {
        chooseDetails(shown);
        show();
      }}
      retry={load}
    />,
    root,
  );
}

function dropInvite(): void {
  forgetInvite();
  invite = "";
}

function useInvite(given: string): void {
  keepInvite(given);
  invite = given;
  call.problem = undefined;
  show();
}

function choose(name: TransportName): void {
  transport = name;
  preload(name);
  show();
}

addEventListener("keydown", (event) => handleKey(call, event));

// An invite link that is opened in a tab that already shows the page.
addEventListener("hashchange", () => useInvite(takeInvite()));

async function load(): Promise<void> {
  configProblem = undefined;
  show();
  try {
    config = await server.config();
    document.title = config.project;
    choose(config.transports[0] ?? transport);
  } catch (error) {
    configProblem = problemFrom(error);
  }
  show();
}

void load();
